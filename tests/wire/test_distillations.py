"""The JSON of distillations: what is chosen, what rows come of it, and which are held out."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.distillations import is_held_out, read_distillation, too_few, training_row
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


def test_a_question_is_held_out_by_itself_whatever_its_answer():
    rows = [row({"content": "d"}, asked=[{"role": "user", "content": str(number)}]) for number in range(1000)]
    held = [each for each in rows if is_held_out(each, 0.2)]
    assert 150 < len(held) < 250
    other = {"messages": [*held[0]["messages"][:-1], {"role": "assistant", "content": "other"}]}
    assert is_held_out(other, 0.2)
    assert not is_held_out(held[0], 0.0)


def test_too_few_are_told_with_their_number():
    assert "Only 3 stored completions" in str(too_few(3))
