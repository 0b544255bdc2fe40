"""Versions of datasets: what one is called, what made it, and what is known of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import orjson

import stillhouse
from stillhouse.errors import DataError, UsageError

__all__ = [
    "ABOUT",
    "BAD_ROWS",
    "DROPPED",
    "ERASED",
    "ITEMS",
    "LINEAGE",
    "Step",
    "Version",
    "check_name",
    "is_reference",
    "parse_reference",
    "write_private",
]

ITEMS, DROPPED = "items.parquet", "dropped.parquet"
"""The files of a version: its items, and those that its step left out, with the reasons."""

ABOUT, LINEAGE, BAD_ROWS = "version.json", "rows.json", "bad_rows.jsonl"
"""What may lie beside them: what is known of it, of what it was made of, and rows that could not be read."""

ERASED = "erased"
"""The verb of a version whose files are gone because somebody was erased; its settings name its `successor`."""

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9_-])?")
REFERENCE = re.compile(rf"({NAME.pattern})(?:@([1-9][0-9]{{0,8}}))?")


@final
@dataclass(frozen=True, slots=True)
class Step:
    """What made a version: who reads it can do it again."""

    verb: str
    """What was done: `import`, `filter`, `split`, `curate`, `redact`, `label`, ..."""
    parents: tuple[str, ...] = ()
    """What it was made of: versions (`support@2`), or names of files without their folders."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """How it was done, as JSON: the filter, what was redacted, the teacher and its prompt, hashes of files."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """What became of the items: kept, and left out by reason. It may be filled while the items are read."""
    code: str = f"stillhouse {stillhouse.__version__}"
    """Whose code did it."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "verb": self.verb,
            "parents": list(self.parents),
            "settings": dict(self.settings),
            "counts": dict(self.counts),
            "code": self.code,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Step:
        """The step that `to_json` wrote; raises DataError."""
        try:
            given: dict[str, Any] = {**value, "parents": tuple(value["parents"])}
            return cls(**given)
        except (KeyError, TypeError) as error:
            raise DataError(f"This is no step of a dataset: {error}.") from error


@final
@dataclass(frozen=True, slots=True)
class Version:
    """A version of a dataset: it never changes."""

    name: str
    number: int
    hash: str
    """SHA-256 of its items in their order, with all that is known of them: the same on every machine."""
    items: int
    dropped: int
    """How many items its step left out; they lie beside it, with the reasons."""
    bytes: int
    """Of its files."""
    created: int
    """Unix seconds."""
    step: Step
    path: Path
    """Its Parquet file."""

    @property
    def reference(self) -> str:
        """How it is named wherever a dataset is asked for: `support@3`."""
        return f"{self.name}@{self.number}"

    @property
    def dropped_path(self) -> Path:
        """The Parquet file of what its step left out; there only where it left something out."""
        return self.path.with_name(DROPPED)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "number": self.number,
            "reference": self.reference,
            "hash": self.hash,
            "items": self.items,
            "dropped": self.dropped,
            "bytes": self.bytes,
            "created": self.created,
            "step": self.step.to_json(),
            "path": str(self.path),
        }

    def write(self, folder: Path) -> None:
        """Write what is known of it beside its files, for whoever finds them without the database."""
        told = {name: value for name, value in self.to_json().items() if name not in ("path", "bytes")}
        (folder / ABOUT).write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")


def check_name(name: str) -> str:
    """The name of a dataset as it was given; raises UsageError when it may not be called so."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"A dataset cannot be called {name!r}: names have lower-case letters of a to z, digits, `.`, `_` and `-`, "
            "begin with a letter or a digit, and have at most 64 of them."
        )
    return name


def is_reference(text: str) -> bool:
    """Whether a text names a version with its number: `support@3`."""
    found = REFERENCE.fullmatch(text)
    return bool(found and found[2])


def parse_reference(text: str) -> tuple[str, int | None]:
    """The name and the number in `support@3`, None for the newest in `support`; raises UsageError."""
    found = REFERENCE.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} names no dataset: write its name, or name@number such as support@3.")
    return found[1], int(found[2]) if found[2] else None


def write_private(place: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that only its owner reads: whole, or not at all."""
    waiting = place.with_name(f".{secrets.token_hex(8)}")
    try:
        with waiting.open("xb") as file:
            waiting.chmod(0o600)
            file.writelines(pieces)
        waiting.replace(place)
    finally:
        waiting.unlink(missing_ok=True)
