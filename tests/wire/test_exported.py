"""What was exported from the hosted suite is read as it was shown there."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.exported import read_exported_completion, read_exported_eval

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 5,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    "request_id": "req_1",
    "temperature": 0.5,
    "input_user": "ann",
    "metadata": {"use": "geo"},
}
ASKED = [{"role": "user", "content": "Capital of France?"}]
LISTED = [
    {"id": "chatcmpl-1-0", "role": "system", "content": "Be short.", "name": None, "content_parts": None},
    {
        "id": "chatcmpl-1-1",
        "role": "user",
        "content": "Capital?",
        "content_parts": [{"type": "text", "text": "Capital?", "image_url": None}],
    },
]


def read(**changes):
    return read_exported_completion(json.dumps({**COMPLETION, "messages": ASKED, **changes}).encode())


def test_a_stored_completion_is_kept_as_it_was_shown():
    found = read()
    assert (found.id, found.created, found.model, found.metadata) == (
        "chatcmpl-1",
        5,
        "gpt-4o-mini-2024-07-18",
        {"use": "geo"},
    )
    answer = json.loads(found.answer)
    assert answer["choices"][0]["message"]["content"] == "Paris"
    assert (answer["temperature"], answer["input_user"], answer["request_id"]) == (0.5, "ann", "req_1")
    assert json.loads(found.messages) == ASKED
    ours = {"x_stillhouse": {"seconds": 0.5}}
    assert json.loads(read(**ours).answer) == {**answer, **ours}


def test_messages_may_be_those_that_were_listed():
    expected = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Capital?"}]},
    ]
    for messages in (LISTED, {"object": "list", "data": LISTED}):
        assert json.loads(read(messages=messages).messages) == expected


def test_both_may_stand_side_by_side():
    line = json.dumps({"completion": COMPLETION, "messages": ASKED}).encode()
    assert read_exported_completion(line) == read()
    assert json.loads(read(messages=None, input="Hi").messages) == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": []}, "messages"),
        ({"choices": []}, "choices"),
        ({"choices": [{"index": 0}]}, "choices[0].message"),
        ({"id": None}, "id"),
        ({"model": 5}, "model"),
        ({"created": None}, "created"),
        ({"metadata": {"a": 1}}, "metadata.a"),
    ],
)
def test_what_is_none_is_named(changes, param):
    with pytest.raises(WireError) as caught:
        read(**changes)
    assert caught.value.param == param


def test_an_eval_keeps_its_ids():
    grader = {
        "id": "close-1234",
        "type": "string_check",
        "name": "close",
        "input": "{{sample.output_text}}",
        "operation": "eq",
        "reference": "{{item.answer}}",
    }
    schema = {
        "type": "object",
        "properties": {"item": {"type": "object", "properties": {"answer": {"type": "string"}}}, "sample": {}},
    }
    one = {
        "id": "eval_1",
        "object": "eval",
        "name": "capitals",
        "created_at": 5,
        "data_source_config": {"type": "custom", "schema": schema},
        "testing_criteria": [grader],
        "metadata": {},
    }
    found = read_exported_eval(json.dumps(one).encode())
    assert (found.id, found.name, found.created_at, found.criteria[0].id) == ("eval_1", "capitals", 5, "close-1234")
    assert found.config.sample
    with pytest.raises(WireError):
        read_exported_eval(b'{"id": "eval_1", "name": "a"}')
