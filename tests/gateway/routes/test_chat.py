"""Chat completions over bare HTTP: what the SDK does not show."""

from __future__ import annotations

import json
import urllib.request

from tests.gateway.serving import prompt


def post(url: str, **fields):
    body = json.dumps({"model": "desk/triage", "messages": prompt("refund"), **fields}).encode()
    return urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", body))


def test_a_whole_answer_is_json_with_its_route(alone):
    with post(alone) as response:
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-stillhouse-route"] == "student; confidence=0.9025"
        answer = json.loads(response.read())
    assert answer["id"].startswith("chatcmpl-")
    assert answer["object"] == "chat.completion"


def test_a_stream_is_events_with_their_route_and_an_end(alone):
    with post(alone, stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-stillhouse-route"] == "student; confidence=0.9025"
        events = response.read().decode().removesuffix("\n\n").split("\n\n")
    assert events[-1] == "data: [DONE]"
    ids = {json.loads(event.removeprefix("data: "))["id"] for event in events[:-1]}
    assert len(ids) == 1
