"""Events are relayed unchanged, and only whole ones."""

from __future__ import annotations

import json

import pytest

from stillhouse.errors import TeacherUnavailable
from stillhouse.gateway.stream import relay


class Stream:
    """Chunks, and then the end or an error."""

    def __init__(self, chunks: list[bytes], error: Exception | None = None) -> None:
        self.chunks, self.error, self.closed = list(chunks), error, False

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        raise self.error or StopAsyncIteration

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("chunks", "relayed"),
    [
        ([b"data: 1\n\n", b"data: 2\n\ndata: 3\n\n"], [b"data: 1\n\n", b"data: 2\n\ndata: 3\n\n"]),
        ([b"data: 1\n\nda", b"ta: 2\n", b"\n"], [b"data: 1\n\n", b"data: 2\n\n"]),
        ([b"data: 1\r\n\r\ndata", b": 2\r\n\r\n"], [b"data: 1\r\n\r\n", b"data: 2\r\n\r\n"]),
        ([b"data: 1\n\n", b"data: no end"], [b"data: 1\n\n", b"data: no end"]),
    ],
)
async def test_chunks_pass_as_they_come_cut_at_events(chunks, relayed):
    stream = Stream(chunks)
    assert [chunk async for chunk in relay(stream)] == relayed
    assert stream.closed


async def test_what_breaks_off_ends_with_an_error_and_without_half_an_event():
    stream = Stream([b"data: 1\n\ndata: hal"], TeacherUnavailable("hung up"))
    first, last = [chunk async for chunk in relay(stream)]
    assert first == b"data: 1\n\n"
    assert json.loads(last.removeprefix(b"data: "))["error"] == {
        "message": "hung up",
        "type": "server_error",
        "param": None,
        "code": "teacher_unavailable",
    }
    assert stream.closed
