"""Stored completions as JSON: what may be asked to be kept, and how it is shown."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.stored_completions import (
    read_keep,
    read_metadata,
    read_update,
    stored_messages,
    unkept,
    unknown_completion,
    write_answer,
    write_deleted,
    write_list,
    write_messages,
    write_stored,
)


def body(**fields) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


@pytest.mark.parametrize("fields", [{}, {"store": False}, {"store": None}, {"metadata": {"a": 1}}])
def test_only_what_asks_for_it_is_kept(fields):
    assert read_keep(body(**fields)) is None


def test_what_is_kept_here_need_not_be_kept_by_others():
    keep = read_keep(body(store=True, metadata={"tag": "a"}, temperature=0.5))
    assert keep.metadata == {"tag": "a"}
    assert json.loads(keep.rest) == json.loads(body(temperature=0.5))
    assert read_keep(body(store=True)).metadata == {}


def test_every_call_may_be_kept_unless_it_says_no():
    assert not read_keep(body(), every=True).is_asked
    assert read_keep(body(store=True), every=True).is_asked
    assert read_keep(body(store=False), every=True) is None
    assert read_keep(body(metadata={"a": 1}), every=True).metadata == {}
    assert read_keep(body(metadata={"a": "b"}), every=True).metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("metadata", "code", "param"),
    [
        ([], "invalid_type", "metadata"),
        ({"a": 1}, "invalid_type", "metadata.a"),
        ({"a": None}, "invalid_type", "metadata.a"),
        ({str(number): "" for number in range(17)}, "object_above_max_properties", "metadata"),
        ({"k" * 65: ""}, "string_above_max_length", "metadata." + "k" * 64),
        ({"a": "v" * 513}, "string_above_max_length", "metadata.a"),
    ],
)
def test_metadata_have_their_limits(metadata, code, param):
    with pytest.raises(WireError) as caught:
        read_keep(body(store=True, metadata=metadata))
    assert (caught.value.code, caught.value.param, caught.value.status) == (code, param, 400)


def test_metadata_may_be_as_large_as_they_may_be():
    largest = {f"{number:064}": "é" * 512 for number in range(16)}
    assert read_metadata(largest) == largest
    assert read_metadata(None) == {}


def test_store_is_true_or_false():
    with pytest.raises(WireError) as caught:
        read_keep(body(store="yes"))
    assert (caught.value.code, caught.value.param) == ("invalid_type", "store")


@pytest.mark.parametrize(
    ("sent", "code"),
    [(b"", None), (b"[]", "invalid_type"), (b"{}", "missing_required_parameter"), (b'{"metadata":3}', "invalid_type")],
)
def test_an_update_names_metadata(sent, code):
    with pytest.raises(WireError) as caught:
        read_update(sent)
    assert caught.value.code == code
    assert read_update(b'{"metadata":null}') == {}
    assert read_update(b'{"metadata":{"a":"b"}}') == {"a": "b"}


TOLD = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 5,
    "model": "m-1",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "prompt_tokens_details": {}},
    "system_fingerprint": "fp",
}


def test_an_answer_is_kept_with_what_was_asked_for_it():
    answer = write_answer(TOLD, {"temperature": 0.0, "user": "u", "tools": [{"type": "function"}]}, "req_1")
    assert json.loads(write_stored(answer, {"tag": "ä"})) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "message": {"content": "hi", "role": "assistant", "tool_calls": None, "function_call": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "request_id": "req_1",
        "tool_choice": None,
        "seed": None,
        "top_p": 1.0,
        "temperature": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "input_user": "u",
        "tools": [{"type": "function"}],
        "response_format": None,
        "system_fingerprint": "fp",
        "metadata": {"tag": "ä"},
    }


def test_a_refusal_and_missing_usage_are_kept_as_they_are():
    message = {"role": "assistant", "content": None, "refusal": "No."}
    told = {**TOLD, "choices": [{**TOLD["choices"][0], "message": message}], "usage": None}
    kept = json.loads(write_answer(told, {}, "req_1"))
    assert kept["choices"][0]["message"]["refusal"] == "No."
    assert kept["usage"] is None


def test_a_page_names_its_first_and_its_last():
    rows = [(f"chatcmpl-{n}", b'{"id":"chatcmpl-%d"}' % n, {"n": str(n)}) for n in (2, 1)]
    assert json.loads(write_list(rows, True)) == {
        "object": "list",
        "data": [{"id": "chatcmpl-2", "metadata": {"n": "2"}}, {"id": "chatcmpl-1", "metadata": {"n": "1"}}],
        "first_id": "chatcmpl-2",
        "last_id": "chatcmpl-1",
        "has_more": True,
    }
    nothing = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert json.loads(write_list([], False)) == json.loads(write_messages([], False)) == nothing


def test_messages_have_ids_and_their_text_in_one():
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    parts = [{"type": "text", "text": "a"}, picture, {"type": "text", "text": "b"}]
    asked = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "name": "ann", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]},
        {"role": "tool", "content": "4", "tool_call_id": "call_1"},
    ]
    system, user, assistant, tool = stored_messages("c", json.dumps(asked).encode())
    assert system == {"id": "c-0", "role": "system", "content": "Be kind.", "name": None, "content_parts": None}
    assert (user["id"], user["content"], user["name"]) == ("c-1", "ab", "ann")
    empty = {"text": None, "image_url": None, "input_audio": None, "file": None}
    assert user["content_parts"][:2] == [{"type": "text", **empty, "text": "a"}, {**empty, **picture}]
    assert (assistant["content"], assistant["tool_calls"]) == ("", [{"id": "call_1"}])
    assert tool["tool_call_id"] == "call_1"


def test_what_is_gone_or_was_never_there_is_said_in_the_known_words():
    assert json.loads(write_deleted("c")) == {"id": "c", "object": "chat.completion.deleted", "deleted": True}
    error = unknown_completion("c")
    assert (str(error), error.status, error.code, error.param) == (
        "Completion c not found",
        404,
        "not_found",
        "completion_id",
    )


def test_what_is_no_traffic_asks_not_to_be_kept():
    assert json.loads(unkept(body(seed=1))) == {**json.loads(body(seed=1)), "store": False}
    assert read_keep(unkept(body()), every=True) is None
