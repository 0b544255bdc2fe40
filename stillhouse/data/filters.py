"""Filter: which items of a dataset are wanted, from words of the command line or JSON; conditions for DuckDB."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, cast, final

from stillhouse.errors import UsageError

__all__ = ["EQUAL", "Filter", "parse_pairs", "parse_range", "parse_time"]

EQUAL = ("model", "label", "language", "split", "subject", "conversation", "teacher", "kind", "method", "origin")
"""The columns that may be asked for by value."""

NEAR = 0.5
"""How alike a text must be to an example unless said otherwise, 0..1."""

Range = tuple[float | None, float | None]


@final
@dataclass(frozen=True, slots=True)
class Filter:
    """An item is wanted when it meets all that is said; of several values of one thing, one is enough."""

    equal: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Values by column, of those in `EQUAL`; an empty text stands for: nothing is known."""
    where: Mapping[str, str] = field(default_factory=dict[str, str])
    """Metadata, each of which an item must carry."""
    tags: tuple[str, ...] = ()
    """Each of which an item must carry."""
    since: int | None = None
    """Unix seconds, from then on."""
    until: int | None = None
    """Unix seconds, before then."""
    longer: int | None = None
    """Its text has at least so many letters."""
    shorter: int | None = None
    """Its text has at most so many letters."""
    grade: Range = (None, None)
    """The lowest and the highest grade."""
    match: tuple[str, ...] = ()
    """Each of which its text contains, whatever the case."""
    answer: tuple[str, ...] = ()
    """Each of which its answer contains, whatever the case."""
    like: str | None = None
    """An example that its text is like."""
    near: float = NEAR
    """How like, 0..1."""

    def __post_init__(self) -> None:
        for name in self.equal:
            _known(name, EQUAL, "A filter compares no column")
        if not 0 <= self.near <= 1:
            raise UsageError(f"How alike texts must be is a number of 0 to 1, not {self.near:g}.")

    def to_json(self) -> dict[str, Any]:
        """What is asked for, as plain values; what is not is left out."""
        told: dict[str, Any] = {}
        for each in fields(self):
            value: Any = getattr(self, each.name)
            if each.name == "near" and self.like is None:
                continue
            if value not in (None, (), {}, (None, None)):
                told[each.name] = _plain(value)
        return told

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Filter:
        """The filter that `to_json` wrote; raises UsageError for a key that is none of a filter's."""
        names = [each.name for each in fields(cls)]
        for name in value:
            _known(name, names, "A filter has no")
        given = dict(value)
        for name in ("tags", "match", "answer", "grade"):
            if name in given:
                given[name] = tuple(given[name])
        if "equal" in given:
            given["equal"] = {name: tuple(values) for name, values in given["equal"].items()}
        try:
            return cls(**given)
        except TypeError as error:
            raise UsageError(f"This is no filter: {error}.") from error

    def joined(self, other: Filter) -> Filter:
        """What meets both; of what both name by column, key, time or likeness, the other's word counts."""
        mine, theirs = self.to_json(), other.to_json()
        for name in ("equal", "where"):
            theirs[name] = {**mine.get(name, {}), **theirs.get(name, {})}
        for name in ("tags", "match", "answer"):
            theirs[name] = list(dict.fromkeys([*mine.get(name, ()), *theirs.get(name, ())]))
        return Filter.from_json({**mine, **theirs})

    def conditions(self) -> tuple[str, list[Any]]:
        """What columns say, as SQL with places for values, and these values; without words, metadata and likeness."""
        parts: list[str] = []
        values: list[Any] = []
        for name, wanted in sorted(self.equal.items()):
            known = [value for value in wanted if value]
            either = [f'"{name}" IN ({", ".join("?" * len(known))})'] if known else []
            either += [f'"{name}" IS NULL'] if len(known) < len(wanted) else []
            parts.append(f"({' OR '.join(either)})")
            values += known
        bounds = [("created", ">=", self.since), ("created", "<", self.until)]
        bounds += [("length", ">=", self.longer), ("length", "<=", self.shorter)]
        for name, sign, bound in [*bounds, ("grade", ">=", self.grade[0]), ("grade", "<=", self.grade[1])]:
            if bound is not None:
                parts.append(f'"{name}" {sign} ?')
                values.append(bound)
        for tag in self.tags:
            parts.append('list_contains("tags", ?)')
            values.append(tag)
        return " AND ".join(parts), values


def parse_pairs(words: Sequence[str]) -> dict[str, str]:
    """Metadata from words such as `team=billing`; raises UsageError."""
    pairs: dict[str, str] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not key or not sign:
            raise UsageError(f"--where {word!r}: write key=value, such as --where team=billing.")
        pairs[key] = value
    return pairs


def parse_time(option: str, word: str) -> int:
    """Unix seconds from `2026-03-31`, `2026-03-31T12:00` (both UTC unless they say otherwise) or themselves."""
    if word.isdecimal() and len(word) > 4:
        return int(word)
    try:
        given = datetime.fromisoformat(word)
    except ValueError:
        raise UsageError(
            f"{option} {word!r} is no time: write 2026-03-31, 2026-03-31T12:00 (UTC) or Unix seconds."
        ) from None
    return math.floor((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp())


def parse_range(option: str, word: str) -> Range:
    """The bounds in `0.5..1`, `0.8..`, `..0.3` or `1`; raises UsageError."""
    low, sign, high = word.partition("..")
    try:
        bounds = (float(low) if low else None, float(high) if high else None)
    except ValueError:
        bounds = (None, None)
    if bounds == (None, None):
        raise UsageError(f"{option} {word!r}: write the lowest and the highest, such as 0.5..1, 0.8.. or ..0.3.")
    return bounds if sign else (bounds[0], bounds[0])


def _known(name: str, names: Sequence[str], what: str) -> None:
    if name not in names:
        near = get_close_matches(name, names, 1)
        raise UsageError(f"{what} {name!r}; it has {', '.join(names)}." + (f" Is it {near[0]}?" if near else ""))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in cast("Mapping[str, Any]", value).items()}
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
