"""Doorkeeper: watches over each connection: what takes too long, sends too much or takes nothing is ended."""

from __future__ import annotations

import asyncio
from typing import Any, cast, final

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from stillhouse.gateway.limits import Limits
from stillhouse.wire.errors import write_error

__all__ = ["Doorkeeper"]


@final
class Doorkeeper(asyncio.Protocol):
    """Stands between the socket and uvicorn's protocol, which has no bounds of its own for headers and slow clients."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._inner = HttpToolsProtocol(config, server_state, app_state, _loop)
        self._loop, self._limits = self._inner.loop, limits or Limits()
        self._transport: asyncio.Transport | None = None
        self._head = self._unread = 0
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come; it has to say soon what it wants."""
        self._transport = cast(asyncio.Transport, transport)
        if len(self._inner.connections) >= self._limits.connections:
            self._transport.abort()
            return
        self._inner.connection_made(self._transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        for timer in (self._late, self._stalled):
            if timer:
                timer.cancel()
        if self._inner.transport is not None:  # pyright: ignore[reportUnnecessaryComparison]
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """More of a request: passed on, and counted where nothing else bounds it."""
        assert self._transport
        self._inner.data_received(data)
        scope, cycle = cast(Any, self._inner.scope), cast(Any, self._inner.cycle)
        if scope is not None and (cycle is None or cycle.scope is not scope):
            self._head += len(data)
            self._expect_head()
            if self._head > self._limits.head_bytes:
                self._refuse(431, f"The headers are too large: at most {self._limits.head_bytes} bytes are read.")
            return
        self._head = 0
        if self._late:
            self._late.cancel()
            self._late = None
        if cycle is not None and cycle.response_complete and cycle.more_body:
            self._unread += len(data)
            if self._unread > self._limits.unread_bytes:
                self._transport.close()
        else:
            self._unread = 0

    def eof_received(self) -> None:
        """The client sends nothing more."""
        self._inner.eof_received()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        self._inner.flow.pause_writing()
        assert self._transport
        self._stalled = self._loop.call_later(self._limits.stall_seconds, self._transport.abort)

    def resume_writing(self) -> None:
        """The client has taken what waited."""
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None
        self._inner.flow.resume_writing()

    def _expect_head(self) -> None:
        if self._late is None:
            words = f"The headers did not arrive within {self._limits.head_seconds:g} seconds."
            self._late = self._loop.call_later(self._limits.head_seconds, self._refuse, 408, words)

    def _refuse(self, status: int, message: str) -> None:
        """End the connection with an error; one that has said nothing yet is just closed."""
        assert self._transport
        if self._head:
            body = write_error(message, status)
            head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            self._transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self._transport.close()
