"""A body is read up to a size and a time; beyond these it is refused with a status that clients understand."""

from __future__ import annotations

import time
import urllib.request

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.body import LARGEST_BODY, read_body
from stillhouse.gateway.faults import handlers
from tests.gateway.raw import breaks_off, connection, exchange, rest, status
from tests.gateway.serving import served, status_of

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"


@pytest.mark.parametrize(("size", "expected"), [(LARGEST_BODY, 400), (LARGEST_BODY + 1, 413), (3 * LARGEST_BODY, 413)])
def test_what_is_too_large_is_refused(alone, size, expected):
    request = urllib.request.Request(f"{alone}/v1/chat/completions", b" " * size)
    assert status_of(request) == expected


def test_a_huge_body_is_refused_before_it_comes(alone):
    started = time.monotonic()
    answer = exchange(alone, HEAD + b"content-length: 2147483648\r\n\r\n")
    assert status(answer) == 413
    assert b"connection: close" in answer
    assert b'"type":"invalid_request_error"' in answer
    assert time.monotonic() - started < 2


def test_one_that_does_not_say_its_size_is_left_in_the_middle(alone):
    with connection(alone) as sock:
        sock.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        part = b"100000\r\n" + b" " * 2**20 + b"\r\n"
        assert breaks_off(sock, part, 2048)


def test_a_slow_one_is_not_waited_for():
    async def echo(request):
        return Response(await read_body(request, seconds=0.2))

    app = Starlette(routes=[Route("/", echo, methods=["POST"])], exception_handlers=handlers())
    with served(app) as url, connection(url) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhalf")
        answer = rest(sock)
    assert status(answer) == 408
    assert b"did not arrive within 0.2 seconds" in answer
