"""The body of a request, read up to a size and a time."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import Request

__all__ = ["LARGEST_BODY", "read_body"]

LARGEST_BODY = 8 * 2**20
"""Bytes of a request's body; more is refused."""
MOST_READ = 8 * LARGEST_BODY
"""Bytes that are read of a body that is too large, so that its client gets to listening; of a larger one none is."""
SECONDS = 120.0
"""From a request's headers to the end of its body."""


async def read_body(request: Request, seconds: float = SECONDS) -> bytes:
    """The body of a request; raises HTTPException when it is too large or too slow, in good time if it says its size.

    Of one that is too large nothing is kept.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > MOST_READ:
        raise _too_large({"connection": "close"})
    try:
        async with asyncio.timeout(seconds):
            return await _read(request)
    except TimeoutError as error:
        words = f"The request did not arrive within {seconds:g} seconds."
        raise HTTPException(408, words, {"connection": "close"}) from error


async def _read(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= LARGEST_BODY:
            chunks.append(chunk)
        elif size > MOST_READ:
            raise _too_large({"connection": "close"})
        else:
            chunks.clear()
    if size > LARGEST_BODY:
        raise _too_large(None)
    return b"".join(chunks)


def _too_large(headers: dict[str, str] | None) -> HTTPException:
    return HTTPException(413, f"The request is too large: at most {LARGEST_BODY // 2**20} MiB are read.", headers)
