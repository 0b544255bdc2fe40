from __future__ import annotations

import json
import math

from stillhouse.chat import Usage
from stillhouse.wire.assembly import Assembly
from stillhouse.wire.choices import (
    Head,
    Token,
    ToolCall,
    Written,
    write_call,
    write_choices,
    write_end,
    write_opening,
    write_usage,
    write_words,
)

HEAD = Head("chatcmpl-1", 7, "tiny", logprobs=True, include_usage=True)
GRIN = "🙂".encode()
TOKENS = (Token(GRIN[:2], -0.5, ((b"a", -1.0),)), Token(GRIN[2:], -math.inf))
CALL = ToolCall(0, "call_1", "weather", '{"town":"Ulm"}')


def events(*written: bytes) -> list[dict]:
    return [json.loads(event.removeprefix(b"data: ")) for event in written]


def test_a_whole_answer():
    told = json.loads(write_choices(HEAD, [Written("🙂", "stop", tokens=TOKENS)], Usage(3, 2)))
    assert told["id"] == "chatcmpl-1"
    assert told["object"] == "chat.completion"
    assert told["usage"]["total_tokens"] == 5
    choice = told["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"] == "🙂"
    first, second = choice["logprobs"]["content"]
    assert bytes([*first["bytes"], *second["bytes"]]).decode() == "🙂"
    assert first["top_logprobs"] == [{"token": "a", "logprob": -1.0, "bytes": [97]}]
    assert second["logprob"] == -9999.0
    assert second["top_logprobs"] == []


def test_logprobs_are_null_unless_wanted():
    told = json.loads(write_choices(Head("c", 1, "m"), [Written("a", "length", tokens=TOKENS)], Usage(1, 1)))
    assert told["choices"][0]["logprobs"] is None


def test_an_answer_of_calls_has_no_content():
    message = json.loads(write_choices(HEAD, [Written("", "tool_calls", (CALL,))], Usage(1, 1)))["choices"][0][
        "message"
    ]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town":"Ulm"}'}}
    ]
    assert json.loads(write_choices(HEAD, [Written("", "stop")], Usage(1, 0)))["choices"][0]["message"]["content"] == ""


def test_the_events_come_to_the_same():
    whole = json.loads(write_choices(HEAD, [Written("🙂!", "tool_calls", (CALL,), TOKENS)], Usage(3, 2)))
    assembly = Assembly()
    for event in events(
        write_opening(HEAD, 0),
        write_words(HEAD, 0, "🙂", TOKENS),
        write_words(HEAD, 0, "!", ()),
        write_call(HEAD, 0, CALL),
        write_end(HEAD, 0, "tool_calls"),
        write_usage(HEAD, Usage(3, 2)),
    ):
        assembly.add(event)
    assert assembly.is_whole
    told = assembly.completion()
    del whole["choices"][0]["message"]["annotations"]
    told["choices"][0]["logprobs"]["refusal"] = None
    assert told == whole


def test_events_speak_of_usage_and_logprobs_only_where_wanted():
    first, words = events(write_opening(HEAD, 1), write_words(HEAD, 1, "a", TOKENS))
    assert first["usage"] is None
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert first["choices"][0]["logprobs"] == {"content": [], "refusal": None}
    assert (words["choices"][0]["index"], len(words["choices"][0]["logprobs"]["content"])) == (1, 2)
    bare = Head("c", 1, "m")
    assert write_usage(bare, Usage(1, 1)) == b""
    assert "usage" not in events(write_end(bare, 0, "stop"))[0]
    assert events(write_words(bare, 0, "a", TOKENS))[0]["choices"][0]["logprobs"] is None
