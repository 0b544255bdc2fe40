"""Requests are read strictly and answers written as OpenAI writes them."""

from __future__ import annotations

import json
import math

import pytest

from stillhouse.chat import ChatCall, Choice, Completion, Message, Route, TokenLogprob, Usage
from stillhouse.wire.chat import DONE, read_call, replace_model, write_completion, write_stream
from stillhouse.wire.errors import WireError

HELLO = [{"role": "user", "content": "hello"}]
PIECES = (TokenLogprob("é{", 0.0), TokenLogprob("yes", -0.1, (("yes", -0.1), ("no", -math.inf))))
COMPLETION = Completion("m", (Choice(PIECES),) * 2, Usage(3, 4), Route("student", confidence=0.9))


def call(**fields) -> ChatCall:
    return read_call(json.dumps({"model": "m", "messages": HELLO, **fields}).encode())


def test_a_plain_request_is_read():
    read = call()
    assert (read.model, read.messages, read.n) == ("m", (Message("user", "hello"),), 1)
    assert (read.stream, read.logprobs, read.beyond, read.shape) == (False, False, None, None)
    assert json.loads(read.body)["messages"] == HELLO


def test_parts_are_joined_and_absent_content_of_the_assistant_is_empty():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    read = call(messages=[{"role": "assistant", "content": None}, {"role": "user", "content": parts}])
    assert [message.content for message in read.messages] == ["", "ab"]


def test_sampling_options_and_unknown_ones_are_let_through():
    assert call(temperature=0, top_p=None, seed=1, store=True, user="u", stop=["x"], surprise=1).model == "m"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
         "messages[0].content[0]"),
    ],
)  # fmt: skip
def test_what_asks_for_more_than_words_is_named(fields, path):
    assert call(**fields).beyond == path


def test_tools_that_must_not_be_used_ask_for_nothing():
    assert call(tools=[{"type": "function"}], tool_choice="none").beyond is None


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": None}, "missing_required_parameter", "model"),
        ({"model": 3}, "invalid_type", "model"),
        ({"messages": None}, "missing_required_parameter", "messages"),
        ({"messages": "hello"}, "invalid_type", "messages"),
        ({"messages": []}, "empty_array", "messages"),
        ({"messages": ["hello"]}, "invalid_type", "messages[0]"),
        ({"messages": [{"content": "x"}]}, "missing_required_parameter", "messages[0].role"),
        ({"messages": [*HELLO, {"role": "boss", "content": "x"}]}, "invalid_value", "messages[1].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "invalid_type", "messages[0].content"),
        ({"messages": [{"role": "user", "content": [3]}]}, "invalid_type", "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "invalid_type",
            "messages[0].content[0].text",
        ),
        ({"n": 0}, "integer_below_min_value", "n"),
        ({"n": 129}, "integer_above_max_value", "n"),
        ({"n": True}, "invalid_type", "n"),
        ({"stream": "yes"}, "invalid_type", "stream"),
        ({"stream_options": {}}, "invalid_value", "stream_options"),
        ({"stream": True, "stream_options": 1}, "invalid_type", "stream_options"),
        ({"logprobs": True, "top_logprobs": 21}, "integer_above_max_value", "top_logprobs"),
        ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(fields, code, param):
    with pytest.raises(WireError) as caught:
        call(**fields)
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, code, param)
    assert param in str(caught.value) or code == "invalid_value"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'"x"', b'{"model": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_refused(body):
    with pytest.raises(WireError):
        read_call(body)


def test_only_the_model_is_replaced():
    body = b'{"model":"small","temperature":0.1,"x":{"y":[1,null]}}'
    assert json.loads(replace_model(body, "large")) == {"model": "large", "temperature": 0.1, "x": {"y": [1, None]}}


def test_a_whole_answer():
    written = json.loads(write_completion(COMPLETION, call(logprobs=True), "chatcmpl-1", 7))
    assert written["usage"]["total_tokens"] == 7
    assert [choice["index"] for choice in written["choices"]] == [0, 1]
    choice = written["choices"][0]
    assert choice["message"]["content"] == "é{yes"
    first, second = choice["logprobs"]["content"]
    assert first == {"token": "é{", "logprob": 0.0, "bytes": [195, 169, 123], "top_logprobs": []}
    assert second["top_logprobs"][1]["logprob"] == -9999.0


def test_logprobs_are_null_unless_asked_for():
    assert json.loads(write_completion(COMPLETION, call(), "chatcmpl-1", 7))["choices"][0]["logprobs"] is None


def events(**fields) -> list[dict]:
    *lines, done = write_stream(COMPLETION, call(stream=True, **fields), "chatcmpl-1", 7)
    assert done == DONE
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def test_a_stream_comes_in_the_order_of_openai():
    written = events(logprobs=True, stream_options={"include_usage": True})
    of_one = [event["choices"][0] for event in written if event["choices"] and event["choices"][0]["index"] == 0]
    assert [choice["delta"] for choice in of_one] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "é{"},
        {"content": "yes"},
        {},
    ]
    assert [choice["finish_reason"] for choice in of_one] == [None, None, None, "stop"]
    assert of_one[0]["logprobs"] == {"content": [], "refusal": None}
    assert [len(choice["logprobs"]["content"]) for choice in of_one[:3]] == [0, 1, 1]
    assert of_one[-1]["logprobs"] is None
    assert all(event["usage"] is None for event in written[:-1])
    assert written[-1]["choices"] == []
    assert written[-1]["usage"]["total_tokens"] == 7


def test_a_stream_without_usage_does_not_speak_of_it():
    assert not any("usage" in event for event in events())
