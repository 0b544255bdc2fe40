"""Door: what every request passes on its way in and out: it is let in or not, gets an id, is timed and counted."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stillhouse.gateway.limits import Limits
from stillhouse.gateway.metrics import Metrics, Tally
from stillhouse.wire.errors import WireError, write_error

__all__ = ["Door"]

WATCHED = ("/healthz", "/metrics")
"""Paths that are answered however much there is to do."""
ONCE = (b"host", b"authorization", b"content-length", b"content-type", b"openai-project", b"idempotency-key")
"""Headers of which several could be read in several ways."""


@final
class Door:
    """An ASGI app around another."""

    def __init__(self, app: ASGIApp, metrics: Metrics, limits: Limits | None = None) -> None:
        self._app, self._metrics, self._limits = app, metrics, limits or Limits()
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 499  # what is counted when the client leaves before an answer
        tally = scope["tally"] = Tally()
        request_id = scope["request_id"] = f"req_{secrets.token_hex(12)}"

        async def send_stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                took = f"{(time.perf_counter() - started) * 1000:.0f}"
                message["headers"] += [
                    (b"x-request-id", request_id.encode()),
                    (b"openai-processing-ms", took.encode()),
                ]
            await send(message)

        self._inside += 1
        self._metrics.in_flight.inc()
        try:
            trouble = self._trouble(scope)
            if trouble:
                await _refuse(trouble, send_stamped)
            else:
                await self._app(scope, receive, send_stamped)
        finally:
            self._inside -= 1
            self._metrics.in_flight.dec()
            self._metrics.count(tally, status, time.perf_counter() - started)

    def _trouble(self, scope: Scope) -> WireError | None:
        """Why a request is not let in."""
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        if len(headers) > self._limits.head_fields:
            return WireError(f"There are more than {self._limits.head_fields} headers.", None, status=431)
        names = [name for name, _ in headers]
        for name in ONCE:
            if names.count(name) > 1:
                return WireError(f"There is more than one header '{name.decode()}'.", None)
        if b"host" not in names and scope["http_version"] != "1.0":
            return WireError("There is no header 'host'.", None)
        if self._inside > self._limits.requests and scope["path"] not in WATCHED:
            words = f"{self._limits.requests} requests are being answered already. Try again later."
            return WireError(words, "overloaded", status=429)
        return None


async def _refuse(trouble: WireError, send: Send) -> None:
    body = write_error(str(trouble), trouble.status, trouble.code)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if trouble.status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": trouble.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
