"""WordIndex: rows by words or parts of words that a column holds, and by how alike their words are to an example's."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import normalise
from stillhouse.data.postings import Postings, PostingsWriter, placed

__all__ = ["WordIndex", "words_of"]

ALONE = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts that are written without spaces: each letter is a word."""
WORD = re.compile(rf"[{ALONE}]|[^\W{ALONE}]+")

Mask = NDArray[np.bool_]


def words_of(text: str) -> list[str]:
    """The words of a normalised text."""
    return WORD.findall(text)


@final
class WordIndex:
    """The words of one column of a version; its texts, normalised, are mapped into memory beside them."""

    def __init__(self, folder: Path) -> None:
        self._postings = Postings(folder)
        self._ends: NDArray[np.int64] = np.load(folder / "ends.npy")
        self._norms: NDArray[np.float32] = np.load(folder / "norms.npy")
        with (folder / "texts").open("rb") as file:
            self._texts = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @classmethod
    def open(cls, place: Path, texts: Iterable[str | None]) -> WordIndex:
        """The index in a folder; made of the texts of the column where it is not there yet."""

        def write(folder: Path) -> None:
            _write(folder, texts)

        return cls(placed(place, write))

    @property
    def rows(self) -> int:
        """How many rows the column has."""
        return len(self._ends)

    def holding(self, text: str) -> Mask:
        """The rows whose text contains a text, whatever their case, width and white space: bool [rows]."""
        wanted = normalise(text)
        words = words_of(wanted)
        found = np.ones(self.rows, np.bool_)
        whole = words == [wanted]
        for place, word in enumerate(words):
            begins, ends = place > 0, place < len(words) - 1
            found &= self._any(self._postings.matching(word, begins, ends))
        return found if whole else self._checked(found, wanted.encode())

    def likeness(self, example: str) -> NDArray[np.float32]:
        """How alike each row's words are to those of an example, 0..1, float32 [rows].

        The cosine of the two sets of words, each weighted by ln(1 + rows / rows with the word) (Salton and Buckley,
        Term-weighting approaches in automatic text retrieval, 1988, with binary term frequencies).
        """
        scores = np.zeros(self.rows, np.float64)
        square = 0.0
        for word in sorted(set(words_of(normalise(example)))):
            term = self._postings.find(word)
            rows = self._postings.rows(term) if term is not None else np.empty(0, np.uint32)
            weight = float(np.log(1 + self.rows / max(1, len(rows)))) ** 2
            square += weight
            scores[rows] += weight
        known = (self._norms > 0) & (square > 0)
        scores[known] /= self._norms[known] * np.sqrt(square) if square else 1.0
        return np.minimum(scores, 1.0).astype(np.float32)

    def _any(self, terms: NDArray[np.int64]) -> Mask:
        """The rows that hold one of some terms."""
        found = np.zeros(self.rows, np.bool_)
        for term in terms.tolist():
            found[self._postings.rows(term)] = True
        return found

    def _checked(self, found: Mask, wanted: bytes) -> Mask:
        """Those of some rows whose text does contain what is wanted."""
        rows = np.flatnonzero(found)
        ends = self._ends[rows].tolist()
        starts = np.where(rows > 0, self._ends[rows - 1] + 1, 0).tolist()
        texts = self._texts
        right = [wanted in texts[start:end] for start, end in zip(starts, ends, strict=True)]
        checked = np.zeros_like(found)
        checked[rows[np.array(right, np.bool_)]] = True
        return checked


def _write(folder: Path, texts: Iterable[str | None]) -> None:
    """The files of an index: postings, normalised texts a line each with their ends, and norms."""
    postings, at = PostingsWriter(), 0
    ends: list[int] = []
    with (folder / "texts").open("wb") as file:
        for row, text in enumerate(texts):
            said = normalise(text or "")
            postings.add(row, words_of(said))
            line = said.encode("utf-8", "replace") + b"\n"
            at += len(line)
            ends.append(at - 1)
            file.write(line)
        if not at:
            file.write(b"\n")  # an empty file cannot be mapped
    postings.write(folder)
    np.save(folder / "ends.npy", np.array(ends, np.int64))
    np.save(folder / "norms.npy", _norms(Postings(folder), len(ends)))


def _norms(postings: Postings, rows: int) -> NDArray[np.float32]:
    """The length of each row's weighted set of words."""
    squares = np.zeros(rows, np.float64)
    weights = np.log(1 + rows / np.maximum(1, postings.counts())) ** 2
    for (_, held), weight in zip(postings.pairs(), weights.tolist(), strict=True):
        squares[held] += weight
    return np.sqrt(squares).astype(np.float32)
