"""Samples are read from whole completions, from our own answers, and from text."""

from __future__ import annotations

import json

import pytest
from openai.types.chat import ChatCompletion
from openai.types.evals.runs.output_item_list_response import Sample as EchoedSample

from stillhouse.chat import Choice, Completion, Relayed, Route, TokenLogprob, Usage
from stillhouse.errors import TeacherError
from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields
from stillhouse.wire.samples import (
    Sampling,
    Tokens,
    read_answer,
    read_sample,
    read_sampling,
    sample_of_text,
    write_call,
    write_sample,
    write_sampling,
)

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
BODY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m-2026",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": '{"a": 1}', "tool_calls": [CALL]},
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 3},
    },
}


def test_a_completion_as_the_sdk_dumps_it():
    dumped = ChatCompletion.model_validate(BODY).model_dump()
    sample = read_sample(dumped, "sample")
    assert (sample.text, sample.model, sample.finish_reason, sample.refusal) == ('{"a": 1}', "m-2026", "stop", None)
    assert sample.tokens == Tokens(5, 2, 3)
    assert sample.variables["output_json"] == {"a": 1}
    assert sample.variables["output_tools"][0]["function"]["arguments"] == '{"x": 1}'
    assert sample.variables["choices"] == dumped["choices"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({"content": None, "tool_calls": [CALL]}, ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": None, "refusal": "no"}, ""),
    ],
)
def test_content_in_every_form(message, text):
    sample = read_sample({"choices": [{"message": message}]}, "sample")
    assert (sample.text, sample.refusal) == (text, message.get("refusal"))
    assert "output_json" not in sample.variables
    assert sample.variables["output_tools"] == (message.get("tool_calls") or [])


def test_text_alone_is_a_sample():
    for sample in (sample_of_text("42"), read_sample({"output_text": "42"}, "sample")):
        assert sample.variables["output_text"] == "42"
        assert sample.variables["output_json"] == 42
        assert sample.variables["choices"][0]["message"]["content"] == "42"


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({}, "s.output_text"),
        ("text", "s"),
        ({"choices": []}, "s.choices"),
        ({"choices": [{}]}, "s.choices[0].message"),
        ({"choices": [{"message": {"content": 3}}]}, "s.choices[0].message.content"),
        ({"output_text": 3}, "s.output_text"),
    ],
)
def test_what_is_no_sample_is_named(value, param):
    with pytest.raises(WireError) as caught:
        read_sample(value, "s")
    assert caught.value.param == param


def test_answers_of_every_kind_become_samples():
    ours = Completion("s", (Choice((TokenLogprob("a", 0.0), TokenLogprob("b", 0.0))),), Usage(3, 2), Route("student"))
    assert (read_answer(ours).text, read_answer(ours).tokens, read_answer(ours).model) == ("ab", Tokens(3, 2), "s")
    relayed = Relayed(json.dumps(BODY).encode(), Route("teacher"))
    assert read_answer(relayed) == read_sample(BODY, "answer")
    for content in (b"", b"{}", b"[1]", b'{"choices": []}'):
        with pytest.raises(TeacherError, match="not a chat completion"):
            read_answer(Relayed(content, Route("teacher")))


def test_both_spellings_of_the_most_tokens_are_read():
    for name in ("max_completion_tokens", "max_completions_tokens"):
        written = {"temperature": 0, "top_p": 1, "seed": 42, name: 9, "reasoning_effort": "low"}
        sampling = read_sampling(Fields(written))
        assert sampling == Sampling(0.0, 1.0, 42, 9, "low", written=written)
        assert write_sampling(sampling) == {
            "temperature": 0.0,
            "top_p": 1.0,
            "seed": 42,
            "max_completion_tokens": 9,
            "reasoning_effort": "low",
        }
    assert write_sampling(Sampling()) == {}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 2.5}, "p.temperature"),
        ({"top_p": -1}, "p.top_p"),
        ({"seed": 1.5}, "p.seed"),
        ({"max_completions_tokens": 0}, "p.max_completions_tokens"),
        ({"reasoning_effort": "huge"}, "p.reasoning_effort"),
        ({"response_format": "json"}, "p.response_format"),
        ({"tools": [1]}, "p.tools[0]"),
    ],
)
def test_sampling_out_of_bounds_is_named(fields, param):
    with pytest.raises(WireError) as caught:
        read_sampling(Fields(fields, "p"))
    assert caught.value.param == param


def test_a_call_holds_all_that_was_asked_for():
    asked = {"response_format": {"type": "json_object"}, "tools": [CALL]}
    call = write_call("m", [{"role": "user", "content": "é"}], read_sampling(Fields({"seed": 7, **asked})))
    body = {"model": "m", "messages": [{"role": "user", "content": "é"}], "seed": 7, **asked}
    assert json.loads(call.body) == body
    assert (call.model, call.shape, call.beyond) == ("m", {}, "tools")


def test_a_sample_is_shown_as_the_sdk_reads_it():
    sample = read_sample(BODY, "sample")
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]
    asked = [{"role": "user", "content": parts}]
    shown = write_sample(sample, asked, Sampling(1.0, 1.0, 42, 5), None)
    read = EchoedSample.model_validate({**shown, "error": {"code": "", "message": ""}})
    assert (read.model, read.finish_reason, read.seed, read.max_completion_tokens) == ("m-2026", "stop", 42, 5)
    assert (read.usage.total_tokens, read.usage.cached_tokens) == (7, 3)
    assert read.output[0].content == '{"a": 1}'
    assert json.loads(read.input[0].content or "") == parts
    assert shown["max_completions_tokens"] == 5
    assert shown["output"][0]["tool_calls"] == [CALL]


def test_a_sample_that_never_came_shows_why():
    shown = write_sample(None, [], Sampling(), ("model_error", "no connection"))
    assert (shown["output"], shown["error"]) == ([], {"code": "model_error", "message": "no connection"})
