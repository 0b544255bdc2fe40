"""Connections that say too little too slowly, too much, or take nothing, are ended; all others go on."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from functools import partial

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from stillhouse.gateway.doorkeeper import Doorkeeper
from stillhouse.gateway.limits import Limits
from tests.gateway.raw import breaks_off, connection, exchange, rest, status
from tests.gateway.serving import served

LIMITS = Limits(head_seconds=0.4, head_bytes=4096, stall_seconds=0.5, unread_bytes=2**20, connections=20)
ENDED: list[str] = []


@pytest.fixture(scope="module")
def url():
    async def short(request):
        return PlainTextResponse("short")

    async def read(request):
        return PlainTextResponse(str(len(await request.body())))

    async def endless(request):
        async def parts():
            try:
                while True:
                    yield b"x" * 65536
                    await asyncio.sleep(0)
            finally:
                ENDED.append("endless")

        return StreamingResponse(parts())

    routes = [
        Route("/", short, methods=["GET", "POST"]),
        Route("/read", read, methods=["POST"]),
        Route("/endless", endless),
    ]
    with served(Starlette(routes=routes), partial(Doorkeeper, limits=LIMITS)) as url:
        yield url


def test_whoever_behaves_notices_nothing(url):
    assert urllib.request.urlopen(url).read() == b"short"
    assert urllib.request.urlopen(urllib.request.Request(f"{url}/read", b"x" * 3 * 2**20)).read() == b"3145728"
    request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with connection(url, 2) as sock:
        for _ in range(3):
            sock.sendall(request)
            assert b"short" in sock.recv(65536)
            time.sleep(0.5)  # longer than headers may take: a client that waits between two calls sends none


def test_a_silent_connection_is_closed(url):
    started = time.monotonic()
    with connection(url) as sock:
        assert rest(sock) == b""
    assert time.monotonic() - started < 3


def test_headers_that_drip_are_refused(url):
    with connection(url) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        assert breaks_off(sock, b"x-a: 1\r\n", 100, pause=0.05)


def test_headers_that_come_too_late_are_told_so(url):
    answer = exchange(url, b"GET / HTTP/1.1\r\nhost: localhost\r\n")
    assert status(answer) == 408
    assert b"did not arrive" in answer


def test_headers_without_end_are_refused(url):
    answer = exchange(url, b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 100_000)
    assert status(answer) == 431
    assert b"invalid_request_error" in answer


def test_the_headers_of_a_later_request_are_watched_too(url):
    with connection(url) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b"short" in sock.recv(65536)
        sock.sendall(b"GET / HTTP/1.1\r\nhost: loc")
        assert status(rest(sock)) == 408


def test_a_client_that_takes_nothing_is_left(url):
    ENDED.clear()
    with connection(url) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n")
        deadline = time.monotonic() + 5
        while not ENDED and time.monotonic() < deadline:
            time.sleep(0.05)
    assert ENDED == ["endless"]


def test_a_body_that_nobody_reads_is_not_taken_without_end(url):
    with connection(url) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2147483648\r\n\r\n")
        assert status(sock.recv(65536)) == 200
        assert breaks_off(sock, b" " * 2**20, 2048)


def test_more_connections_than_may_be_are_closed(url):
    with connection(url, 2) as first:
        first.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n")
        opened = [connection(url, 0.2) for _ in range(30)]
        answers = []
        for each in opened:
            sock = each.__enter__()
            try:
                sock.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
                answers.append(sock.recv(65536))
            except OSError:
                answers.append(b"")
        for each in opened:
            each.__exit__(None, None, None)
    assert 1 <= sum(answer == b"" for answer in answers) < 30
    time.sleep(0.1)
    assert urllib.request.urlopen(url).read() == b"short"
