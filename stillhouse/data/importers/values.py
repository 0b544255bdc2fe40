"""Values of other tools' rows: JSON within texts, objects, tags, metadata and times, however they were written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import orjson

__all__ = ["first", "listed", "metadata_of", "parsed", "rows_of", "seconds", "table_of", "word"]

LATEST_SECONDS = 10**11
"""Times beyond the year 5138 are not seconds but milliseconds, microseconds or nanoseconds."""


def parsed(value: Any) -> Any:
    """A value that was written as JSON within a text; any other as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def table_of(value: Any) -> dict[str, Any]:
    """A JSON object, also one within a text; an empty one in the place of anything else."""
    value = parsed(value)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def rows_of(value: Any) -> list[dict[str, Any]]:
    """The JSON objects of a list, also of one within a text; none in the place of anything else."""
    value = parsed(value)
    given = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", each) for each in given if isinstance(each, dict)]


def first(row: Mapping[str, Any], *names: str) -> Any:
    """The first of some values that says anything; None where none does."""
    return next((row[name] for name in names if row.get(name) not in (None, "", [], {}, "[]", "{}", "null")), None)


def word(value: Any) -> str | None:
    """A value as a text, where there is one."""
    if value is None or isinstance(value, str):
        return value or None
    return orjson.dumps(value).decode()


def listed(value: Any) -> tuple[str, ...]:
    """Tags, however they were written."""
    value = parsed(value)
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    return tuple(str(each) for each in cast("Sequence[Any]", value) if str(each)) if isinstance(value, list) else ()


def metadata_of(given: Any, more: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Metadata as texts: what is none is written as JSON, what is empty left out."""
    return dict(_texts_of({**table_of(given), **(more or {})}))


def _texts_of(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if value not in (None, "", [], {}):
            yield name, value if isinstance(value, str) else orjson.dumps(value).decode()


def seconds(value: Any) -> int | None:
    """A time in whole Unix seconds, of a number in any unit or a text in ISO 8601; None where it says none."""
    if isinstance(value, str) and value.replace(".", "", 1).isdigit():
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        while abs(value) >= LATEST_SECONDS:
            value = value / 1000
        return int(value)
    try:
        when = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
