"""Paging: what a list's query asks for: `limit`, `after`, `order`, and the filters of metadata."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import QueryParams

from stillhouse.storage.ids import is_id
from stillhouse.storage.records import Cut
from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import one_of
from stillhouse.wire.stored_completions import read_metadata

__all__ = ["read_choice", "read_cut", "read_filters", "unknown_cursor"]

SIZE, LARGEST = 20, 100
"""Rows of a page when nothing is said, and at most."""


def read_cut(query: QueryParams, ascending: bool = False, size: int = SIZE, largest: int = LARGEST) -> Cut:
    """Which page is asked for, in the order and of the size that hold when none is named; raises WireError."""
    order = query.get("order")
    if order not in (None, "asc", "desc"):
        words = f"Invalid value: '{order[:40]}'. Supported values are: 'asc' and 'desc'."
        raise WireError(words, "invalid_value", "order")
    after = query.get("after") or None
    if after is not None and not is_id(after):
        raise unknown_cursor(after)
    return Cut(_limit(query.get("limit"), size, largest), after, order == "asc" if order else ascending)


def read_filters(query: QueryParams) -> dict[str, str]:
    """The pairs of `metadata[key]=value`; raises WireError when they are more or longer than metadata can be."""
    pairs = {
        name[len("metadata[") : -1]: value
        for name, value in query.multi_items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    return read_metadata(pairs)


def read_choice(query: QueryParams, name: str, options: Sequence[str]) -> str | None:
    """One of some words, None when the query says nothing; raises WireError."""
    value = query.get(name)
    return None if value is None else one_of(value, options, name)


def unknown_cursor(after: str) -> WireError:
    """The error for an `after` that names nothing."""
    return WireError(f"Invalid 'after': there is no '{after[:80]}' here.", "invalid_value", "after")


def _limit(text: str | None, size: int, largest: int) -> int:
    if text is None:
        return size
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise WireError("Invalid type for 'limit': expected an integer.", "invalid_type", "limit")
    limit = int(text)
    if limit < 1:
        words = f"Invalid 'limit': expected a value >= 1, but got {limit} instead."
        raise WireError(words, "integer_below_min_value", "limit")
    if limit > largest:
        words = f"Invalid 'limit': expected a value <= {largest}, but got {limit} instead."
        raise WireError(words, "integer_above_max_value", "limit")
    return limit
