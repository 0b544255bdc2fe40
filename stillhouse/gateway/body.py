"""The body of a request, read up to a size."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request

__all__ = ["LARGEST_BODY", "read_body"]

LARGEST_BODY = 8 * 2**20
"""Bytes of a request's body; more is refused."""


async def read_body(request: Request) -> bytes:
    """The body of a request; of one that is too large nothing is kept, and most is read so that the client listens."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= LARGEST_BODY:
            chunks.append(chunk)
        elif size > 8 * LARGEST_BODY:
            break
        else:
            chunks.clear()
    if size > LARGEST_BODY:
        raise HTTPException(413, f"The request is too large: at most {LARGEST_BODY // 2**20} MiB are read.")
    return b"".join(chunks)
