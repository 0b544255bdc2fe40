"""Rows with reasons, asked twice: where prefixes stand, and what is refused."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.tasks.explained import asked_twice, is_explained

BOTH = ("predict: ", "explain: ")
TALK = [
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "2+2?"},
]
FOUR = {"role": "assistant", "content": "4"}


def test_texts_are_asked_for_the_answer_and_for_the_reasons():
    row = {"prompt": "2+2=", "completion": "4", "rationale": "Two and two."}
    assert asked_twice(row, BOTH) == [
        {"prompt": "predict: 2+2=", "completion": "4"},
        {"prompt": "explain: 2+2=", "completion": "Two and two."},
    ]
    assert asked_twice(row)[0] == {"prompt": "2+2=", "completion": "4"}
    assert is_explained(row)
    assert not is_explained({"prompt": "a", "completion": "b"})
    assert not is_explained("rationale")


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [*TALK, FOUR]},
        {"prompt": TALK, "completion": [FOUR]},
        {"prompt": TALK, "completion": "4"},
    ],
)
def test_in_conversations_a_prefix_stands_before_what_the_user_said_last(row):
    tools = [{"type": "function"}]
    answer, reasons = asked_twice({**row, "rationale": "Two and two.", "tools": tools}, BOTH)
    assert answer["prompt"] == [*TALK[:2], {"role": "user", "content": "predict: 2+2?"}]
    assert answer["completion"] == [FOUR]
    assert reasons["prompt"] == [*TALK[:2], {"role": "user", "content": "explain: 2+2?"}]
    assert reasons["completion"] == [{"role": "assistant", "content": "Two and two."}]
    assert answer["tools"] == reasons["tools"] == tools


def test_contents_in_parts_get_one_more():
    parts = [{"type": "text", "text": "2+2?"}]
    _, reasons = asked_twice(
        {"messages": [{"role": "user", "content": parts}, FOUR], "rationale": "Two and two."}, BOTH
    )
    assert reasons["prompt"][0]["content"] == [{"type": "text", "text": "explain: "}, *parts]


@pytest.mark.parametrize("reasons", [None, "", " "])
def test_without_reasons_only_the_answer_is_asked_for(reasons):
    assert asked_twice({"prompt": "2+2=", "completion": "4", "rationale": reasons}, BOTH) == [
        {"prompt": "predict: 2+2=", "completion": "4"}
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"rationale": "Why not?", "text": "a"}, r"needs `prompt` and `completion`, or `messages`.*rationale, text\."),
        ({"messages": TALK, "rationale": "Why not?"}, "must end with the assistant's answer"),
        ({"messages": [FOUR], "rationale": "Why not?"}, "must end with the assistant's answer"),
        ({"prompt": "a", "completion": "b", "rationale": 3}, "`rationale` must be a text; it is '3'"),
        (
            {"messages": [{"role": "system", "content": "Be kind."}, FOUR], "rationale": "Why not?"},
            "no message of the user, before which a prefix could stand",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(row, said):
    with pytest.raises(UsageError, match=said):
        asked_twice(row, BOTH)
