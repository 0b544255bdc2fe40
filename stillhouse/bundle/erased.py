"""Marks beside a student: that it learnt from a person who was erased since, and whether it may still answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from stillhouse.errors import BundleError

__all__ = ["FILE", "Mark", "add_mark", "marks_told", "read_marks", "refuse_withdrawn"]

FILE = "erased.json"
"""Its name beside `stillhouse.json`, or in the folder of a language model."""


@final
@dataclass(frozen=True, slots=True)
class Mark:
    """One erasure that concerns a student."""

    erasure: str
    """The id of the erasure, which its receipt carries."""
    when: str
    """The day and time in UTC, as ISO 8601 writes them."""
    data: str
    """What it learnt from: a version of a dataset, or a file."""
    rows: int
    """How many rows of it were the person's."""
    successor: str | None = None
    """What is left of the data: a version without the person, or the same file."""
    withdrawn: bool = False
    """Whether it may not be served any more."""


def read_marks(folder: Path) -> list[Mark]:
    """The marks of a student, none where nobody was erased; raises BundleError where they are damaged."""
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        return [Mark(**each) for each in json.loads(path.read_text(encoding="utf-8"))["trained_on_erased_data"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is damaged ({error}). The receipt of the erasure says what it said.") from error


def add_mark(folder: Path, mark: Mark) -> None:
    """Note an erasure beside a student; the same one again takes the place of the first."""
    others = [each for each in read_marks(folder) if (each.erasure, each.data) != (mark.erasure, mark.data)]
    told = {"trained_on_erased_data": [asdict(each) for each in (*others, mark)]}
    waiting = folder / f".{FILE}"
    waiting.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    waiting.replace(folder / FILE)


def marks_told(folders: Iterable[Path]) -> list[str]:
    """What to say when marked students are served, an erasure a line."""
    return [
        f"{folder} learnt from {mark.data}, of which {mark.rows} rows are of a person who was erased on {mark.when} "
        f"({mark.erasure}). Train it again without them: the receipt names the recipe."
        for folder in folders
        for mark in read_marks(folder)
    ]


def refuse_withdrawn(folder: Path) -> None:
    """Raise BundleError where a student may not be served, for a person whose data it learnt from was erased."""
    for mark in read_marks(folder):
        if mark.withdrawn:
            raise BundleError(
                f"{folder} was withdrawn on {mark.when}: it learnt from {mark.data}, of which {mark.rows} rows are "
                f"of a person who was erased ({mark.erasure}). Train it again without them, by the recipe that the "
                "erasure wrote; the receipt says where it lies."
            )
