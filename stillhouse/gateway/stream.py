"""A teacher's events passed on to the client: unchanged, whole, and no longer than both are there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse

from stillhouse.chat import ByteStream
from stillhouse.errors import TeacherError
from stillhouse.wire.chat import write_event
from stillhouse.wire.errors import write_error

__all__ = ["EVENTS", "relay", "relayed_response"]

EVENTS = "text/event-stream"
ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


def relayed_response(
    stream: ByteStream, headers: dict[str, str], content: AsyncIterator[bytes] | None = None
) -> StreamingResponse:
    """A response that relays a stream, and hangs up on the teacher when the client has gone.

    `content` is what becomes of the stream on its way, where it does not go on unchanged.
    """

    async def hang_up() -> None:
        stream.close()

    return StreamingResponse(
        content or relay(stream), headers=headers, media_type=EVENTS, background=BackgroundTask(hang_up)
    )


async def relay(stream: ByteStream) -> AsyncIterator[bytes]:
    """The chunks of a stream as they come; when it breaks off, an event that says so ends it.

    Of an event that has not arrived in full, nothing is sent before its rest: it could not be taken back.
    """
    rest = b""
    try:
        async for chunk in stream:
            chunk = rest + chunk
            cut = max(chunk.rfind(end) + len(end) if end in chunk else 0 for end in ENDS)
            rest = chunk[cut:]
            if cut:
                yield chunk[:cut]
        if rest:
            yield rest
    except TeacherError as error:
        yield write_event(write_error(str(error), 502, "teacher_unavailable"))
    finally:
        stream.close()
