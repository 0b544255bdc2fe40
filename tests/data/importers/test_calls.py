from __future__ import annotations

import pytest

from stillhouse.data.importers.calls import answers_of, asked_of, call_items, messages_of
from stillhouse.data.importers.records import Unusable
from stillhouse.data.items import Facts, Source
from tests.data.importers.reading import ANSWER, CALL, USER

SYSTEM = {"role": "system", "content": "Sort."}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("where is it", (USER,)),
        ([USER], (USER,)),
        ('[{"role": "user", "content": "where is it"}]', (USER,)),
        ({"messages": [SYSTEM, USER], "model": "m"}, (SYSTEM, USER)),
        ({"system": "Sort.", "messages": [USER]}, (SYSTEM, USER)),
        ({"instructions": "Sort.", "input": "where is it"}, (SYSTEM, USER)),
        ({"contents": [{"role": "user", "parts": [{"text": "where "}, {"text": "is it"}]}]}, (USER,)),
        ([{"type": "human", "content": "where is it"}], (USER,)),
        ({"prompt": "where is it"}, (USER,)),
        (USER, (USER,)),
    ],
)
def test_what_was_asked_in_whatever_words(value, expected):
    assert asked_of(value)[0] == expected


@pytest.mark.parametrize(
    "value",
    [
        "order",
        ANSWER,
        {"choices": [{"message": ANSWER, "finish_reason": "stop"}]},
        {"choices": [{"text": "order"}]},
        {"content": [{"type": "text", "text": "order"}], "role": "assistant", "stop_reason": "end_turn"},
        {"output": [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "order"}]}]},
        {"candidates": [{"content": {"parts": [{"text": "order"}], "role": "model"}}]},
        {"completion": "order"},
        [USER, ANSWER],
    ],
)
def test_what_was_answered_in_whatever_words(value):
    [(message, _)] = answers_of(value)
    assert message == ANSWER


def test_every_choice_is_an_item_and_a_cut_answer_says_so():
    choices = [{"message": ANSWER, "finish_reason": "stop"}, {"message": ANSWER, "finish_reason": "length"}]
    items = list(call_items([USER], {"choices": choices}, Facts(), Source()))
    assert [item.facts.metadata for item in items] == [{}, {"finish_reason": "length"}]
    [alone] = call_items([USER, ANSWER], None, Facts(), Source())
    assert (alone.messages, alone.answer) == ((USER,), ANSWER)
    [unanswered] = call_items([USER], None, Facts(), Source())
    assert unanswered.answer is None


def test_calls_of_tools_stay_as_they_are():
    asked = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert messages_of([asked]) == (asked,)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "not a list with at least one"),
        (["a"], "message 1 is not a JSON object"),
        ([{"role": "robot", "content": "a"}], "has the role 'robot'"),
        ([{"content": "a"}], "has no role"),
        ([{"role": "user"}], "says nothing"),
        ([{"role": "user", "content": 7}], "neither a text nor a list"),
    ],
)
def test_messages_that_are_none(value, reason):
    with pytest.raises(Unusable, match=reason):
        messages_of(value)
