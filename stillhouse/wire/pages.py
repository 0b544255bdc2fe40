"""The JSON of a page of a list: its objects, the ids at its ends, and whether more follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

__all__ = ["write_page", "write_rows"]


def write_page(objects: Sequence[Mapping[str, Any]], has_more: bool) -> bytes:
    """A page of objects, each with an `id`."""
    return _written([each["id"] for each in objects], objects, has_more)


def write_rows(rows: Sequence[tuple[str, bytes]], has_more: bool) -> bytes:
    """A page of objects that are JSON already, each beside its id."""
    return _written([row_id for row_id, _ in rows], [orjson.Fragment(content) for _, content in rows], has_more)


def _written(ids: Sequence[str], data: Sequence[object], has_more: bool) -> bytes:
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    return orjson.dumps({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more})
