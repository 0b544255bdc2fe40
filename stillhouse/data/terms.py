"""Terms of teachers: what may be done with their answers, looked up by who answered, and uses that they forbid."""

from __future__ import annotations

import datetime
import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, cast, final
from urllib.parse import urlsplit

import orjson

from stillhouse.data.formats import read_lines, teacher_of
from stillhouse.errors import TermsForbid, UsageError

__all__ = ["Book", "Terms", "Use", "apart", "check_use", "parts_of", "teachers_in"]

DIGEST = 64
"""Digits of a SHA-256 in hex."""

JOINT = re.compile(r"\+(?!\+|$)")
"""What stands between the names of teachers that answered together."""


class Use(StrEnum):
    """What somebody wants to do with a teacher's answers."""

    TRAIN = "train"
    """Let a model learn from them."""
    EVALUATE = "evaluate"
    """Measure a model by them."""
    SERVE = "serve"
    """Serve a model that learnt from them."""
    COMMERCIAL = "commercial"
    """Do any of that for money, or within a business."""


@final
@dataclass(frozen=True, slots=True)
class Terms:
    """What a teacher's owner allows, as it was read on some day."""

    teacher: str
    allowed: tuple[Use, ...] = tuple(Use)
    attribution: str = ""
    """Words that have to go with whatever is made of the answers."""
    expires: datetime.date | None = None
    """The last day on which the terms hold; nothing is allowed after it."""
    source: str = ""
    """Where they are published."""
    snapshot: str = ""
    """The SHA-256 of the text as it was read, so that a change is noticed."""
    models: tuple[str, ...] = ()
    """Names of models that answer for this teacher, as patterns: `gpt-4o*`."""
    licence: str = ""
    """The name of the licence, where it has one."""

    def __post_init__(self) -> None:
        if not self.teacher.strip():
            raise UsageError("Terms need the name of the teacher whose they are.")
        if self.source and urlsplit(self.source).scheme not in ("http", "https", "file"):
            raise UsageError(f"source = {self.source!r} is no address, such as https://example.com/terms.")
        if self.snapshot and (len(self.snapshot) != DIGEST or set(self.snapshot) - set("0123456789abcdef")):
            raise UsageError(f"snapshot = {self.snapshot!r} is no SHA-256: 64 digits of 0-9 and a-f.")

    def refuses(self, use: Use, today: datetime.date) -> str | None:
        """Why a use is not allowed; None where it is."""
        if self.expires is not None and today > self.expires:
            return f"its terms expired on {self.expires.isoformat()}"
        if use not in self.allowed:
            allowed = ", ".join(self.allowed) or "nothing"
            return f"its terms allow {allowed}, not {use}"
        return None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "teacher": self.teacher,
            "allowed": list(self.allowed),
            "attribution": self.attribution,
            "expires": self.expires.isoformat() if self.expires else None,
            "source": self.source,
            "snapshot": self.snapshot,
            "models": list(self.models),
            "licence": self.licence,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Terms:
        """The terms that `to_json` wrote, or that a file says; raises UsageError."""
        given = dict(value)
        unknown = sorted(set(given) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(name for name in cls.__dataclass_fields__ if name != "teacher")
            raise UsageError(f"Terms have no {unknown[0]!r}. They have {known}.")
        given["allowed"] = tuple(_use(each) for each in given.get("allowed", tuple(Use)))
        given["models"] = tuple(given.get("models", ()))
        given["expires"] = _day(given.get("expires"))
        return cls(**given)


@final
@dataclass(frozen=True, slots=True)
class Book:
    """The terms that are known, by the name of the teacher."""

    terms: Mapping[str, Terms] = field(default_factory=dict[str, Terms])

    def find(self, name: str) -> Terms | None:
        """The terms of who answered: by the teacher's name, by TEACHER/MODEL, or by the patterns of models."""
        if name in self.terms:
            return self.terms[name]
        before = name.partition("/")[0]
        if before in self.terms and before != name:
            return self.terms[before]
        for terms in self.terms.values():
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in terms.models):
                return terms
        return None

    def apart(self, name: str) -> list[str]:
        """The teachers in `one+other`, as a vote names them; a name with a `+` that is known stays whole."""
        parts = parts_of(name)
        found: list[str] = []
        while parts:
            whole = (size for size in range(len(parts), 1, -1) if self._has("+".join(parts[:size])))
            size = next(whole, 1)
            found.append("+".join(parts[:size]))
            parts = parts[size:]
        return found

    def _has(self, name: str) -> bool:
        """Whether somebody wrote down a name with a `+`; a `*` stands for none, lest it hide a teacher in a vote."""
        patterns = [pattern for terms in self.terms.values() for pattern in (terms.teacher, *terms.models)]
        alike = [pattern for pattern in patterns if pattern.count("+") == name.count("+")]
        return any(fnmatch.fnmatchcase(name, pattern) or name == pattern for pattern in alike)

    def listed(self, teachers: Iterable[str | None]) -> list[Terms]:
        """The terms that are known of some teachers, each once."""
        found = {terms.teacher: terms for name in teachers if name and (terms := self.find(name))}
        return [found[name] for name in sorted(found)]


def check_use(rows: Mapping[str | None, int], book: Book, use: Use, today: datetime.date | None = None) -> list[str]:
    """Refuse a use of rows that the terms of their teachers forbid, by the number of rows of each teacher.

    Raises TermsForbid with every reason. Returns notes about teachers whose terms nobody has written down; rows that
    name no teacher are nobody's answers.
    """
    day = today or datetime.datetime.now(datetime.UTC).date()
    refused: list[str] = []
    notes: list[str] = []
    for name, count in sorted(apart(rows, book).items(), key=lambda pair: (pair[0] is None, pair[0] or "")):
        if not name:
            continue
        terms = book.find(name)
        what = f"{count:,} rows were answered by {name}" if count else f"{name} is asked"
        if terms is None:
            if book.terms:
                notes.append(f"{what}; its terms are not known here. Write them down: stillhouse terms add {name}")
        elif reason := terms.refuses(use, day):
            refused.append(f"{what}: {reason}" + (f" ({terms.source})" if terms.source else ""))
    if refused:
        listed = "\n  ".join(refused)
        raise TermsForbid(
            f"The use `{use}` is forbidden:\n  {listed}\nLeave those rows out, or take another teacher; where the "
            "terms have changed, write the new ones down: stillhouse terms add TEACHER"
        )
    return notes


def teachers_in(path: Path) -> Counter[str | None]:
    """How many rows of a file of traffic each teacher has answered, by `teacher`, `source.teacher` or `model`."""
    counts: Counter[str | None] = Counter()
    for _, line in read_lines(path):
        try:
            row: Any = orjson.loads(line)
        except ValueError:
            row = None
        counts[teacher_of(cast("dict[str, Any]", row)) if isinstance(row, dict) else None] += 1
    return counts


def parts_of(name: str | None) -> list[str]:
    """The names in `one+other`. A `+` at the end of a name is its own: `c4+` is one, `c4++other` are two."""
    return JOINT.split(name) if name else []


def apart(rows: Mapping[str | None, int], book: Book) -> Counter[str | None]:
    """Rows that several teachers answered together, `one+other` as a vote names them, counted for each of them."""
    counts: Counter[str | None] = Counter()
    for name, count in rows.items():
        for each in book.apart(name or "") or [None]:
            counts[each] += count
    return counts


def _use(word: Any) -> Use:
    if word not in list(Use):
        raise UsageError(f"{word!r} is no use that terms speak of. Uses are {', '.join(Use)}.")
    return Use(word)


def _day(value: Any) -> datetime.date | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError as error:
        raise UsageError(f"expires = {value!r} is no day, such as 2027-01-31.") from error
