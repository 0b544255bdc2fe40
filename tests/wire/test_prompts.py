"""Prompts are read with the path of what is wrong, echoed as they came, and written for chat."""

from __future__ import annotations

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields
from stillhouse.wire.prompts import Part, chat_message, echo_message, read_messages, read_prompt


def prompt(*messages: object):
    return read_prompt(Fields({"input": list(messages)}, "grader"), "input")


def test_every_form_of_content_is_read_and_echoed():
    picture = {"type": "input_image", "image_url": "u"}
    messages = [
        {"role": "user", "content": "a"},
        {"role": "system", "content": {"type": "input_text", "text": "b"}},
        {"role": "assistant", "content": ["c", {"type": "output_text", "text": "d"}, picture]},
        {"role": "user", "content": {"type": "image_url", "image_url": {"url": "v", "detail": "high"}}},
    ]
    read = prompt(*messages)
    assert [message.parts for message in read] == [
        (Part("text", "a"),),
        (Part("text", "b"),),
        (Part("text", "c"), Part("text", "d"), Part("image", "u")),
        (Part("image", "v", "high"),),
    ]
    assert [echo_message(message) for message in read] == [{"type": "message", **message} for message in messages]


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("hello", "invalid_type", "grader.input[0]"),
        ({"content": "x"}, "missing_required_parameter", "grader.input[0].role"),
        ({"role": "tool", "content": "x"}, "invalid_value", "grader.input[0].role"),
        ({"role": "user"}, "missing_required_parameter", "grader.input[0].content"),
        ({"role": "user", "content": 3}, "invalid_type", "grader.input[0].content"),
        ({"role": "user", "content": []}, "array_below_min_length", "grader.input[0].content"),
        ({"role": "user", "content": [3]}, "invalid_type", "grader.input[0].content[0]"),
        ({"role": "user", "content": {"text": "x"}}, "missing_required_parameter", "grader.input[0].content.type"),
        ({"role": "user", "content": {"type": "video"}}, "invalid_value", "grader.input[0].content.type"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "missing_required_parameter",
         "grader.input[0].content[0].text"),
        ({"role": "user", "content": {"type": "input_image", "image_url": "u", "detail": "best"}}, "invalid_value",
         "grader.input[0].content.detail"),
        ({"role": "user", "content": "x", "type": "item"}, "invalid_value", "grader.input[0].type"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(message, code, param):
    with pytest.raises(WireError) as caught:
        prompt(message)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_a_prompt_is_not_empty():
    with pytest.raises(WireError):
        prompt()


def test_chat_gets_plain_words_as_a_string_and_all_else_as_parts():
    assert chat_message("user", [Part("text", "a")]) == {"role": "user", "content": "a"}
    assert chat_message("user", [Part("image", "u")])["content"] == [{"type": "image_url", "image_url": {"url": "u"}}]
    sound = {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}}
    assert chat_message("user", [Part("audio", "AA", "mp3")])["content"] == [sound]


def test_stored_messages_are_read_with_their_tool_calls():
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    messages = [
        {"role": "user", "content": "a", "id": "x-0", "content_parts": None, "name": None},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "b", "tool_call_id": "c"},
    ]
    assert read_messages(messages, "item.input") == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "b", "tool_call_id": "c"},
    ]
