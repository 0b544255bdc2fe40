"""Work goes on as long as somebody waits for it, and its outcome is whoever's who waits."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from stillhouse.gateway.leaving import while_there


def request(leaves_after: float | None) -> Request:
    async def receive():
        await asyncio.sleep(1000 if leaves_after is None else leaves_after)
        return {"type": "http.disconnect"}

    return Request({"type": "http", "headers": [], "method": "GET", "path": "/"}, receive)


async def test_what_is_finished_is_returned():
    async def work():
        await asyncio.sleep(0.01)
        return 5

    assert await while_there(request(None), work()) == 5


async def test_what_goes_wrong_is_raised():
    async def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await while_there(request(None), work())


async def test_work_for_nobody_is_given_up():
    ended = []

    async def work():
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(True)

    assert await while_there(request(0.01), work()) is None
    assert ended == [True]
