"""Which characters of a row count: found by writing prefixes, so a template that loses an answer is found out."""

from __future__ import annotations

import pytest

from stillhouse.chat import Message
from stillhouse.errors import UsageError
from stillhouse.tasks.turns import Counts, each_answer, render_with, write
from tests.tasks.talk import CALLS, CHAT, talker


def counted(row, counts: str = "answers", template: str | None = "plain") -> list[str]:
    script = write(row, render_with(talker(template)), Counts(counts))
    return [script.text[first:last] for first, last in script.counted]


def test_answers_count_with_what_ends_them():
    assert counted(CHAT) == ["It is on its way.<|end|>", "You are welcome.<|end|>"]
    assert counted(CHAT, "last_answer") == ["You are welcome.<|end|>"]


def test_everything_counts_if_that_is_wanted():
    assert counted(CHAT, "everything") == [talker().apply_chat_template(CHAT["messages"], tokenize=False)]


def test_tool_calls_count_and_what_tools_say_does_not():
    assert counted(CALLS) == ['<call>weather {"town": "Ulm"}</call><|end|>', "Yes, it is.<|end|>"]
    assert write(CALLS, render_with(talker()), Counts.ANSWERS).text.startswith("<|tool|>weather\n")


def test_what_follows_the_last_answer_is_left_out():
    more = {"messages": [*CHAT["messages"], {"role": "user", "content": "Bye!"}]}
    assert counted(more) == counted(CHAT)
    assert "Bye" not in write(more, render_with(talker()), Counts.ANSWERS).text


def test_an_answer_of_weight_nothing_is_only_read():
    messages = [dict(message) for message in CHAT["messages"]]
    messages[2]["weight"] = 0
    assert counted({"messages": messages}) == ["You are welcome.<|end|>"]


def test_texts_in_parts_and_messages_of_stillhouse_are_read():
    parts = [{"type": "text", "text": "It is "}, {"type": "text", "text": "on its way."}]
    messages = [Message("user", "Where?"), {"role": "assistant", "content": parts}]
    assert counted({"messages": messages}) == ["It is on its way.<|end|>"]
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, CHAT["messages"][2]]
    with pytest.raises(UsageError, match="image_url"):
        counted({"messages": picture})


def test_texts_and_completions_need_no_template():
    script = write({"prompt": "Where? ", "completion": "Here."}, render_with(talker(None)), Counts.ANSWERS)
    assert (script.text, script.counted, script.bare) == ("Where? Here.", ((7, 12),), True)
    assert counted({"prompt": "Where? ", "completion": "Here."}, "everything") == ["Where? Here."]
    assert counted("Once.") == counted({"text": "Once."}) == ["Once."]


def test_a_prompt_may_be_a_conversation():
    row = {"prompt": CHAT["messages"][:4], "completion": CHAT["messages"][4:]}
    assert counted(row) == ["You are welcome.<|end|>"]


THOUGHTS = {
    "messages": [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "<think>hm</think>Two."},
        {"role": "user", "content": "Three?"},
        {"role": "assistant", "content": "<think>oh</think>Four."},
    ]
}


def test_a_template_that_rewrites_earlier_answers_is_found_out():
    with pytest.raises(UsageError, match="once more follows it"):
        counted(THOUGHTS, template="forgets thoughts")
    assert counted(THOUGHTS, "last_answer", "forgets thoughts") == ["<think>oh</think>Four.<|end|>"]


def test_each_answer_can_be_a_row_of_its_own():
    rows = each_answer(THOUGHTS)
    assert [counted(row, template="forgets thoughts") for row in rows[:1]] == [["<think>hm</think>Two.<|end|>"]]
    last = write(rows[1], render_with(talker("forgets thoughts")), Counts.LAST_ANSWER)
    assert "<think>hm" not in last.text
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("row", "template", "told"),
    [
        (CHAT, "loses answers", "loses what the assistant says"),
        (CHAT, "asks otherwise", "asks for an answer otherwise"),
        (CHAT, "wants turns", "Begin with the user"),
        (CHAT, None, "chat_template"),
        ({"messages": CHAT["messages"][:2]}, "plain", "no answer of the assistant.*system, user"),
        ({"messages": "Where?"}, "plain", "list of messages"),
        ({"messages": [{"content": "Where?"}]}, "plain", "role"),
        ({"question": "Where?"}, "plain", "its keys are: question"),
        ({"prompt": "Where?", "completion": ""}, "plain", "completion is empty"),
    ],
)
def test_what_cannot_be_learnt_is_refused_with_the_reason(row, template, told):
    with pytest.raises(UsageError, match=told):
        counted(row, template=template)


def test_arguments_that_are_no_json_are_refused():
    call = {"type": "function", "function": {"name": "weather", "arguments": "{town"}}
    with pytest.raises(UsageError, match="weather"):
        counted({"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call]}]})


def said(row, template: str = "plain") -> list[str]:
    script = write(row, render_with(talker(template)), Counts.ANSWERS)
    return [script.text[first:last] for first, last in script.said]


def test_what_was_said_is_told_from_what_the_template_puts_around_it():
    assert said(CHAT) == ["It is on its way.", "You are welcome."]
    assert said({"prompt": "Where? ", "completion": " Here."}) == [" Here."]
    assert said(CALLS) == ["", "Yes, it is."]
    thought = {"messages": THOUGHTS["messages"][:2]}
    assert said(thought) == ["<think>hm</think>Two."]
