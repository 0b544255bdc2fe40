"""Ids: a prefix, the time in microseconds and random bits, so that later ones sort after earlier ones."""

from __future__ import annotations

import secrets
import time

__all__ = ["LONGEST", "is_id", "new_id"]

LONGEST = 128
"""Characters of the longest id that is looked for."""


def new_id(prefix: str) -> str:
    """A new id such as `chatcmpl-0643f2b1c8d3e9a1b2c3d4e5f60718`: 14 digits of time, 16 of chance (64 bits)."""
    return f"{prefix}{time.time_ns() // 1000:014x}{secrets.token_hex(8)}"


def is_id(text: str) -> bool:
    """Whether a text may be an id at all: what may not is in no database, and need not be looked for."""
    return 0 < len(text) <= LONGEST and text.isascii() and text.isprintable()
