"""Whatever is wrong with a request, the answer is OpenAI's envelope."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest


def send(url: str, method: str, path: str, body: bytes | None = None) -> tuple[int, dict, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request(method, path, body, {"content-type": "application/json"})
    response = connection.getresponse()
    status, content, headers = response.status, json.loads(response.read()), response.headers
    connection.close()
    return status, content["error"], headers


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", None, 404),
        ("POST", "/v1/completions", b"{}", 404),
        ("GET", "/v1/models/unknown", None, 404),
        ("GET", "/v1/models/", None, 404),
        ("PATCH", "/v1/models/desk/triage", None, 405),
        ("GET", "/v1/chat/completions", None, 405),
        ("POST", "/v1/chat/completions", b"", 400),
        ("POST", "/v1/chat/completions", b"{'model'", 400),
        ("POST", "/v1/chat/completions", b"[1]", 400),
        ("POST", "/v1/chat/completions", b"\xff\xfe", 400),
        ("POST", "/v1/chat/completions", b"[" * 5000, 400),
        ("POST", "/v1/chat/completions", b" " * (9 * 2**20), 413),
    ],
)
def test_it_is_an_envelope(alone, method, path, body, status):
    seen, error, headers = send(alone, method, path, body)
    assert seen == status
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("path", "allowed"), [("/v1/models/desk/triage", "DELETE, GET, HEAD"), ("/v1/chat/completions", "POST")]
)
def test_what_may_be_done_instead_is_told(alone, path, allowed):
    assert send(alone, "PATCH", path, None)[2]["allow"] == allowed


def test_a_large_body_within_the_limit_is_read(alone):
    call = {"model": "plain", "messages": [{"role": "user", "content": "refund " * 2**20}]}
    connection = http.client.HTTPConnection(urlsplit(alone).netloc, timeout=30)
    connection.request("POST", "/v1/chat/completions", json.dumps(call))
    assert connection.getresponse().status == 200
    connection.close()
