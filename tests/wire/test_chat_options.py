from __future__ import annotations

import json

import pytest

from stillhouse.chat import ChatCall, Message
from stillhouse.wire.chat import read_call
from stillhouse.wire.chat_options import ChatOptions, Drawing, read_options
from stillhouse.wire.errors import Unsupported, WireError

MESSAGES = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "time"}}


def options(**fields) -> ChatOptions:
    body = json.dumps({"model": "m", "messages": MESSAGES, **fields}).encode()
    return read_options(ChatCall("m", (Message("user", "Hi"),), body=body))


def test_what_is_not_said_is_as_openai_has_it():
    assert options() == ChatOptions(({"role": "user", "content": "Hi"},))
    assert options().drawing == Drawing(1.0, 1.0, 0.0, 0.0, {}, None)


def test_a_call_without_body_has_its_messages():
    call = ChatCall("m", (Message("developer", "Be kind."), Message("user", "Hi")))
    assert read_options(call).turns == (
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
    )


def test_every_option_is_read():
    read = options(
        temperature=0,
        top_p=0.5,
        presence_penalty=1,
        frequency_penalty=-2,
        logit_bias={"7": -100, "8": 2.5},
        seed=-3,
        stop=["a", "b"],
        max_tokens=9,
        reasoning_effort="low",
        metadata={"a": "b"},
        user="u",
    )
    assert read.drawing == Drawing(0.0, 0.5, 1.0, -2.0, {7: -100.0, 8: 2.5}, -3)
    assert (read.stop, read.most_tokens, read.effort) == (("a", "b"), 9, "low")
    assert options(stop="x").stop == ("x",)
    assert options(max_tokens=9, max_completion_tokens=5).most_tokens == 5


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"top_p": -0.1}, "top_p", "decimal_below_min_value"),
        ({"presence_penalty": 3}, "presence_penalty", "decimal_above_max_value"),
        ({"frequency_penalty": -3}, "frequency_penalty", "decimal_below_min_value"),
        ({"seed": 1 << 63}, "seed", "integer_above_max_value"),
        ({"seed": 1.5}, "seed", "invalid_type"),
        ({"logit_bias": {"x": 1}}, "logit_bias.x", "invalid_value"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1", "decimal_above_max_value"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
        ({"stop": ["a", 1]}, "stop[1]", "invalid_type"),
        ({"stop": ""}, "stop", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "integer_below_min_value"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
            "missing_required_parameter",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
            "response_format.json_schema.name",
            "invalid_value",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"tools": [TOOL] * 129}, "tools", "array_above_max_length"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "unsupported_feature"),
        ({"tool_choice": "required"}, "tools", "missing_required_parameter"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", "invalid_value"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice.function.name",
            "invalid_value",
        ),
        ({"modalities": ["audio"]}, "modalities", "unsupported_feature"),
        ({"web_search_options": {"a": 1}}, "web_search_options", "unsupported_feature"),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_feature"),
    ],
)
def test_what_is_wrong_is_named(fields, param, code):
    with pytest.raises(WireError) as caught:
        options(**fields)
    assert (caught.value.param, caught.value.code, caught.value.status) == (param, code, 400)


def test_the_form_of_an_answer():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    named = {"name": "n", "schema": schema, "strict": True}
    assert options(response_format={"type": "text"}).schema is None
    assert options(response_format={"type": "json_object"}).schema == {"type": "object"}
    assert options(response_format={"type": "json_schema", "json_schema": named}).schema == schema
    assert options(response_format={"type": "json_schema", "json_schema": {"name": "n"}}).schema == {"type": "object"}


def test_which_tools_may_be_called():
    def toolbox(**fields):
        tools = options(tools=[TOOL, OTHER], **fields).tools
        return tools and (sorted(tools.names), tools.must, tools.several)

    assert options().tools is None
    assert toolbox() == toolbox(tool_choice="auto") == (["time", "weather"], False, True)
    assert toolbox(tool_choice="none") is None
    assert toolbox(tool_choice="required", parallel_tool_calls=False) == (["time", "weather"], True, False)
    named = {"type": "function", "function": {"name": "time"}}
    assert toolbox(tool_choice=named) == (["time"], True, True)
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}}
    assert toolbox(tool_choice=allowed) == (["time"], False, True)


def test_messages_become_what_templates_take():
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Ulm"}'}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
        {"role": "user", "content": "Rain?", "name": "eva"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "yes"},
    ]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    turns = read_options(read_call(body)).turns
    assert turns[0] == {"role": "system", "content": "Be kind."}
    assert turns[1] == {"role": "user", "content": "Rain?", "name": "eva"}
    assert turns[2]["content"] == ""
    assert turns[2]["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"town": "Ulm"}}
    assert turns[3] == {"role": "tool", "tool_call_id": "call_1", "content": "yes"}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": None}, "messages[0].content"),
        ({"role": "user", "content": 3}, "messages[0].content"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}, ".arguments"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[]"}}]}, ".arguments"),
    ],
)
def test_a_message_that_is_wrong_is_named(message, param):
    with pytest.raises(WireError) as caught:
        options(messages=[message])
    assert caught.value.param.endswith(param)


def test_a_picture_is_beyond_a_model_of_words():
    with pytest.raises(Unsupported) as caught:
        options(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])
    assert caught.value.param == "messages[0].content[0].type"
