"""Log-probabilities are asked for, and only those that were wanted are handed on."""

from __future__ import annotations

import json

import pytest

from stillhouse.chat import ChatCall
from stillhouse.wire.harvest import as_wanted, ask_for_logprobs, ask_for_usage

TOKEN = {
    "token": "a",
    "logprob": -0.1,
    "bytes": [97],
    "top_logprobs": [{"token": name, "logprob": -1.0, "bytes": None} for name in "abcd"],
}
TOLD = {
    "id": "x",
    "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [TOKEN], "refusal": None}}],
}


def test_they_are_asked_for_and_all_else_stays():
    body = ask_for_logprobs(b'{"model": "m", "messages": [], "seed": 7}', 20)
    assert json.loads(body) == {"model": "m", "messages": [], "seed": 7, "logprobs": True, "top_logprobs": 20}


def test_a_stream_is_asked_for_its_tokens():
    asked = json.loads(
        ask_for_usage(b'{"model": "m", "stream": true, "stream_options": {"include_obfuscation": false}}')
    )
    assert asked["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert json.loads(ask_for_usage(b'{"stream_options": null}')) == {"stream_options": {"include_usage": True}}


def test_who_did_not_want_the_tokens_does_not_get_them():
    stream = ChatCall("m", (), stream=True)
    chunk = {**TOLD, "choices": [{"index": 0, "delta": {"content": "a"}}]}
    assert as_wanted({**chunk, "usage": None}, stream) == chunk
    assert as_wanted({"id": "x", "choices": [], "usage": {"total_tokens": 3}}, stream) == {}
    assert as_wanted({"id": "x", "choices": [], "prompt_filter_results": []}, stream)["prompt_filter_results"] == []
    wanted = ChatCall("m", (), stream=True, include_usage=True)
    assert as_wanted({"id": "x", "choices": [], "usage": {"total_tokens": 3}}, wanted)["usage"] == {"total_tokens": 3}
    assert as_wanted({**chunk, "usage": {"total_tokens": 3}}, ChatCall("m", ()))["usage"] == {"total_tokens": 3}


def test_who_wanted_none_gets_none():
    handed_on = as_wanted(TOLD, ChatCall("m", ()))
    assert handed_on == {"id": "x", "choices": [{**TOLD["choices"][0], "logprobs": None}]}


@pytest.mark.parametrize("wanted", [0, 2, 20])
def test_who_wanted_some_gets_so_many(wanted):
    [choice] = as_wanted(TOLD, ChatCall("m", (), logprobs=True, top_logprobs=wanted))["choices"]
    assert choice["logprobs"]["content"] == [{**TOKEN, "top_logprobs": TOKEN["top_logprobs"][:wanted]}]
    assert choice["logprobs"]["refusal"] is None


@pytest.mark.parametrize("told", [{}, {"choices": None}, {"choices": ["?"]}, {"choices": [{"logprobs": None}]}])
def test_what_holds_none_stays(told):
    assert as_wanted(told, ChatCall("m", ())) == told
