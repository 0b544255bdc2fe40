"""Postings: which rows of a version hold a term, in files beside it that are mapped into memory."""

from __future__ import annotations

import secrets
import shutil
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import DataError

__all__ = ["Postings", "PostingsWriter", "Rows", "placed"]

Rows = NDArray[np.uint32]
"""Numbers of rows, ascending."""

END = b"\n"
"""Between terms, which hold no line breaks."""


@final
class PostingsWriter:
    """Terms by row, gathered row by row in their order."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._terms, self._rows = array("I"), array("I")

    def add(self, row: int, terms: Iterable[str]) -> None:
        """The terms of a row, each counted once."""
        known = self._known
        found = [known.setdefault(term, len(known)) for term in dict.fromkeys(terms)]
        self._terms.extend(found)
        self._rows.extend([row] * len(found))

    def write(self, folder: Path) -> None:
        """Write the files into a folder that is there."""
        names = [term.encode() for term in self._known]
        order = sorted(range(len(names)), key=names.__getitem__)
        ranks = np.empty(len(names), np.uint32)
        ranks[order] = np.arange(len(names), dtype=np.uint32)
        terms = ranks[np.frombuffer(self._terms, np.uint32)] if self._terms else np.empty(0, np.uint32)
        rows = np.frombuffer(self._rows, np.uint32)[np.argsort(terms, kind="stable")] if self._rows else terms
        starts = np.zeros(len(names) + 1, np.int64)
        np.cumsum(np.bincount(terms, minlength=len(names)), out=starts[1:])
        (folder / "terms").write_bytes(END + b"".join(names[place] + END for place in order))
        np.save(folder / "rows.npy", rows)
        np.save(folder / "starts.npy", starts)


@final
class Postings:
    """The terms of a version and their rows."""

    def __init__(self, folder: Path) -> None:
        self._names = (folder / "terms").read_bytes()
        self._ends = np.flatnonzero(np.frombuffer(self._names, np.uint8) == END[0])
        self._rows: Rows = _mapped(folder / "rows.npy")
        self._starts: NDArray[np.int64] = np.load(folder / "starts.npy")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def find(self, term: str) -> int | None:
        """The number of a term, None where no row holds it."""
        found = self.matching(term, begins=True, ends=True)
        return int(found[0]) if len(found) else None

    def matching(self, part: str, begins: bool = False, ends: bool = False) -> NDArray[np.int64]:
        """The numbers of the terms that contain a part, that begin with it, end with it, or are it."""
        wanted = (END if begins else b"") + part.encode("utf-8", "replace") + (END if ends else b"")
        places: list[int] = []
        at = self._names.find(wanted)
        while at >= 0:
            places.append(at + begins)
            at = self._names.find(wanted, at + 1)
        return np.unique(np.searchsorted(self._ends, places, side="left") - 1) if places else np.empty(0, np.int64)

    def rows(self, term: int) -> Rows:
        """The rows that hold a term."""
        return self._rows[self._starts[term] : self._starts[term + 1]]

    def counts(self) -> NDArray[np.int64]:
        """How many rows hold each term."""
        return np.diff(self._starts)

    def pairs(self) -> Iterator[tuple[int, Rows]]:
        """Every term with its rows."""
        return ((term, self.rows(term)) for term in range(len(self)))


def placed(place: Path, write: Callable[[Path], None]) -> Path:
    """A folder that `write` fills: there already, or made now; whole, or not at all."""
    if place.is_dir():
        return place
    place.parent.mkdir(mode=0o700, exist_ok=True)
    waiting = place.with_name(f".{secrets.token_hex(8)}")
    waiting.mkdir(mode=0o700)
    try:
        write(waiting)
        for path in waiting.iterdir():
            path.chmod(0o600)
        try:
            waiting.rename(place)
        except OSError:
            if not place.is_dir():  # else another program was faster
                raise
    except OSError as error:
        raise DataError(f"What finds rows by their words cannot be kept in {place.parent}: {error}.") from error
    finally:
        shutil.rmtree(waiting, ignore_errors=True)
    return place


def _mapped(file: Path) -> Any:
    found = np.load(file, mmap_mode="r")
    return np.asarray(found)
