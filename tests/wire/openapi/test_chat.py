"""The schemas of chat hold of what is written, and of what is read."""

from __future__ import annotations

import json

import pytest

from stillhouse.chat import Choice, Completion, Route, TokenLogprob, Usage
from stillhouse.wire.chat import read_call, write_completion, write_stream
from stillhouse.wire.errors import WireError
from stillhouse.wire.openapi.chat import cut, operations, schemas
from stillhouse.wire.stored_completions import stored_messages, write_answer, write_deleted, write_list, write_messages
from tests.wire.openapi.schemas import mismatch

CALL = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
ANSWER = Completion("m", (Choice((TokenLogprob("hi", -0.1, ()),)),), Usage(3, 1), Route("student"))


def test_an_answer_is_as_it_is_told():
    for call in (CALL, CALL | {"logprobs": True}):
        written = json.loads(write_completion(ANSWER, read_call(json.dumps(call).encode()), "chatcmpl-1", 5))
        assert mismatch("ChatCompletion", written) is None
    for event in write_stream(ANSWER, read_call(json.dumps(CALL).encode()), "chatcmpl-1", 5):
        told = event.removeprefix(b"data: ").strip()
        assert told == b"[DONE]" or mismatch("ChatCompletionChunk", json.loads(told)) is None


def test_what_is_stored_is_as_it_is_told():
    told = json.loads(write_completion(ANSWER, read_call(json.dumps(CALL).encode()), "chatcmpl-1", 5))
    kept = write_answer(told, CALL, "req_1", {"route": "student"})
    assert (
        mismatch(operations()["GET", "/v1/chat/completions"], json.loads(write_list([("a", kept, {})], True))) is None
    )
    messages = stored_messages("chatcmpl-1", json.dumps(CALL["messages"]).encode())
    path = "/v1/chat/completions/{completion_id}"
    assert mismatch(operations()["GET", f"{path}/messages"], json.loads(write_messages(messages, False))) is None
    assert mismatch(operations()["DELETE", path], json.loads(write_deleted("chatcmpl-1"))) is None


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"n": 128},
        {"n": None},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stop": ["a", "b"]},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
    ],
)
def test_what_it_allows_is_read(more):
    assert mismatch("NewChatCompletion", CALL | more) is None
    assert read_call(json.dumps(CALL | more).encode()).model == "m"


@pytest.mark.parametrize("more", [{"n": 0}, {"n": 129}, {"stream": "yes"}, {"top_logprobs": 21}, {"messages": []}])
def test_what_it_forbids_is_refused(more):
    assert mismatch("NewChatCompletion", CALL | more)
    with pytest.raises(WireError):
        read_call(json.dumps(CALL | more).encode())


def test_a_page_may_be_asked_for_in_an_order():
    assert set(cut()) - set(cut(ordered=False)) == {"order"}
    assert "StoredCompletion" in schemas()
