"""The JSON of distillations: what is chosen, what rows come of it, and which are held out."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.distillations import hold_out, read_distillation, too_few, training_row
from stillhouse.wire.errors import WireError


def read(**body):
    return read_distillation(json.dumps(body).encode(), "base")


def test_a_distillation_needs_only_what_to_learn_from():
    asked = read(stored_completions={})
    assert (asked.model, asked.metadata, asked.limit, asked.validation_share) == (None, {}, 50_000, 0.0)
    assert asked.job.model == "base"
    full = read(
        stored_completions={"model": "m", "metadata": {"a": "b"}, "created_after": 5, "limit": 100},
        model="small",
        suffix="s",
        validation_share=0.2,
    )
    assert (full.model, full.since, full.limit, full.job.model, full.job.suffix) == ("m", 5, 100, "small", "s")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "stored_completions"),
        ({"stored_completions": {"tag": 1}}, "stored_completions.tag"),
        ({"stored_completions": {"limit": 9}}, "stored_completions.limit"),
        ({"stored_completions": {}, "training_file": "f"}, "training_file"),
        ({"stored_completions": {}, "validation_share": 0.6}, "validation_share"),
        ({"stored_completions": {}, "suffix": "a:b"}, "suffix"),
    ],
)
def test_what_is_wrong_is_named(body, param):
    with pytest.raises(WireError) as refused:
        read(**body)
    assert refused.value.param == param


ASKED = [
    {"role": "user", "content": "a", "name": None},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
]


def row(message: dict, asked=ASKED, **more):
    answer = {"choices": [{"message": message, "finish_reason": "stop"} | more], "tools": more.pop("tools", None)}
    return training_row(json.dumps(asked).encode(), json.dumps(answer).encode())


def test_the_answer_is_learnt_and_what_was_said_before_is_not():
    assert row({"role": "assistant", "content": "d", "refusal": None})["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "weight": 0},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    called = row({"role": "assistant", "content": None, "tool_calls": [call]}, finish_reason="tool_calls", tools=[call])
    assert called["messages"][-1] == {"role": "assistant", "tool_calls": [call]}
    assert called["tools"] == [call]


def test_what_is_no_whole_answer_is_left_out():
    assert row({"content": "d"}, finish_reason="length") is None
    assert row({"content": "d", "refusal": "no"}) is None
    assert row({"content": None}) is None
    assert row({"content": "d"}, asked=[]) is None
    assert row({"content": "d"}, asked=[{"role": "user", "content": None}]) is None  # kept without words


def question(text: object):
    return row({"content": "d"}, asked=[{"role": "user", "content": str(text)}])


def test_a_share_of_the_questions_is_held_out_and_none_is_on_both_sides():
    rows = [question(number % 50) for number in range(100)]
    learnt, held = hold_out(rows, 0.2)
    assert (len(learnt), len(held)) == (80, 20)
    assert not {each["messages"][0]["content"] for each in learnt} & {each["messages"][0]["content"] for each in held}
    assert hold_out(rows, 0.0) == (rows, [])


def test_a_share_is_one_row_at_least_but_enough_are_left_to_learn():
    assert [len(each) for each in hold_out([question(number) for number in range(11)], 0.05)] == [10, 1]
    assert [len(each) for each in hold_out([question(number) for number in range(12)], 0.5)] == [10, 2]
    assert [len(each) for each in hold_out([question(number) for number in range(9)], 0.5)] == [9, 0]
    assert [len(each) for each in hold_out([question("the same") for _ in range(30)], 0.5)] == [30, 0]


def test_language_models_are_examined_unless_told_otherwise():
    assert read(stored_completions={}, model="small").validation_share == 0.1
    assert read(stored_completions={}, model="small", validation_share=0).validation_share == 0


def test_too_few_are_told_with_their_number():
    assert "Only 3 stored completions" in str(too_few(3))
