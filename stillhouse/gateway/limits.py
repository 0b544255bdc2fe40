"""Limits: how much a gateway takes on at once, and how long it waits for whom."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Bounds that keep one client from using up what all others need."""

    requests: int = 1_000
    """Under way at once; more are answered 429."""
    connections: int = 8_000
    """Open at once; more are closed."""
    head_bytes: int = 64 * 2**10
    """Of a request's address and headers."""
    head_fields: int = 100
    """Headers of a request."""
    head_seconds: float = 15.0
    """From a connection, or the first byte of a later request, to the end of its headers."""
    stall_seconds: float = 60.0
    """How long a client may take none of what waits for it."""
    unread_bytes: int = 16 * 2**20
    """Of the body of a request that was answered already, read so that the client gets to reading the answer."""
