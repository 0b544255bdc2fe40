"""The door: too many at once, too many headers, and headers that could be read in two ways."""

from __future__ import annotations

import asyncio
import urllib.request

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from stillhouse.gateway.door import Door
from stillhouse.gateway.limits import Limits
from stillhouse.gateway.metrics import Metrics
from tests.gateway.raw import exchange, status
from tests.gateway.serving import served, status_of


@pytest.fixture(scope="module")
def url():
    async def slow(request):
        await asyncio.sleep(0.5)
        return PlainTextResponse("done")

    async def healthz(request):
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/slow", slow), Route("/healthz", healthz)])
    with served(Door(app, Metrics(), Limits(requests=2))) as url:
        yield url


async def test_more_at_once_than_may_be_are_told_to_come_back(url):
    def ask(path: str) -> tuple[int, str | None]:
        try:
            with urllib.request.urlopen(url + path) as response:
                return response.status, None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["retry-after"]

    asked = [asyncio.create_task(asyncio.to_thread(ask, "/slow")) for _ in range(4)]
    await asyncio.sleep(0.2)
    assert await asyncio.to_thread(ask, "/healthz") == (200, None), "whoever watches is answered"
    assert sorted(await asyncio.gather(*asked)) == [(200, None), (200, None), (429, "1"), (429, "1")]
    assert status_of(f"{url}/slow") == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (b"host: localhost\r\n", 200),
        (b"", 400),
        (b"host: a\r\nhost: b\r\n", 400),
        (b"host: a\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\n", 400),
        (b"host: a\r\nopenai-project: a\r\nopenai-project: b\r\n", 400),
        (b"host: a\r\nidempotency-key: a\r\nidempotency-key: b\r\n", 400),
        (b"host: a\r\ncontent-length: 0\r\ncontent-length: 5\r\n", 400),
        (b"host: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n", 400),
        (b"host: a\r\n" + b"".join(b"x-%d: 1\r\n" % number for number in range(120)), 431),
        (b"host: a\r\nx-bad: a\x00b\r\n", 400),
        (b"host: a\r\n x-folded: a\r\n", 400),
    ],
)
def test_headers_that_say_too_much_are_refused(url, headers, expected):
    answer = exchange(url, b"GET /healthz HTTP/1.1\r\n" + headers + b"connection: close\r\n\r\n", seconds=1)
    assert status(answer) == expected, answer


def test_an_old_client_need_not_say_whom_it_asks(url):
    assert status(exchange(url, b"GET /healthz HTTP/1.0\r\n\r\n")) == 200
