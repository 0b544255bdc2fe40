"""Alignment of two tokenizations of one text: the smallest chunks that both can be cut into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import UsageError
from stillhouse.signals.spans import Spans
from stillhouse.signals.token_bytes import Integers

__all__ = ["Alignment", "align"]


@final
@dataclass(frozen=True, eq=False)
class Alignment:
    """Which tokens of both sides cover the same bytes.

    `left` and `right` are `[rows, tokens]`: the chunk of each token, -1 for one in no chunk. `spans` is
    `[rows, chunks, 2]`: the bytes `[start, end)` of each chunk, -1 past a row's last. Every chunk has tokens of both
    sides, and no chunk can be cut in two.
    """

    left: Integers
    right: Integers
    spans: Integers

    @property
    def chunks(self) -> int:
        """The most chunks that a row has."""
        return self.spans.shape[1]

    @property
    def counts(self) -> Integers:
        """How many chunks each row has: `[rows]`."""
        return (self.spans[..., 0] >= 0).sum(axis=1)

    def singles(self) -> tuple[Integers, Integers, Integers]:
        """Where both sides have one token for the same bytes: its row, left place and right place, `[singles]` each."""
        one = (_tokens(self.left, self.chunks) == 1) & (_tokens(self.right, self.chunks) == 1)
        rows, left = _places(self.left, one)
        return rows, left, _places(self.right, one)[1]


def align(left: Spans, right: Spans) -> Alignment:
    """Cut two tokenizations of the same texts into chunks wherever both have a boundary.

    A token lies in no chunk if it lies outside the text, or where only one side has read the text (one was cut
    short, or dropped the space at its end). Rows must be the same texts in the same order; raises UsageError where
    their number differs.
    """
    rows = len(left.starts)
    if rows != len(right.starts):
        raise UsageError(f"Both sides need the same texts; the left has {rows} rows, the right {len(right.starts)}.")
    size = 2 + max(int(left.ends.max(initial=0)), int(right.ends.max(initial=0)))
    cuts = _boundaries(left, size) & _boundaries(right, size)
    cuts[:, -1] = False  # where the places of tokens outside fell
    row, byte = np.divmod(np.flatnonzero(cuts), size)
    found = np.bincount(row, minlength=rows)
    counts = np.maximum(found - 1, 0)
    spans = np.full((rows, int(counts.max(initial=0)), 2), -1, dtype=np.int64)
    pairs = np.flatnonzero(row[1:] == row[:-1])
    order = pairs - (np.cumsum(found) - found)[row[pairs]]
    spans[row[pairs], order, 0], spans[row[pairs], order, 1] = byte[pairs], byte[pairs + 1]
    return Alignment(_chunks(left, cuts, counts), _chunks(right, cuts, counts), spans)


def _boundaries(side: Spans, size: int) -> npt.NDArray[np.bool_]:
    """Where tokens begin or end: `[rows, size]`; those outside mark the last place of a row."""
    marks = np.zeros((len(side.starts), size), dtype=np.bool_)
    shift = np.arange(len(side.starts))[:, None] * size
    marks.reshape(-1)[side.starts + shift] = True
    marks.reshape(-1)[side.ends + shift] = True
    return marks


def _chunks(side: Spans, cuts: npt.NDArray[np.bool_], counts: Integers) -> Integers:
    """The chunk of each token: how many cuts tokens have begun at, up to its own."""
    shift = np.arange(len(side.starts))[:, None] * cuts.shape[1]
    begins = cuts.reshape(-1)[side.starts + shift]
    begins[:, 1:] &= side.starts[:, 1:] > np.maximum.accumulate(side.starts, axis=1)[:, :-1]
    chunks = np.cumsum(begins, axis=1) - 1
    chunks[(side.starts < 0) | (chunks >= counts[:, None])] = -1
    return chunks


def _tokens(chunks: Integers, most: int) -> Integers:
    """How many tokens each chunk has: `[rows, most]`."""
    rows, places = np.nonzero(chunks >= 0)
    counted = np.bincount(rows * most + chunks[rows, places], minlength=len(chunks) * most)
    return counted.reshape(len(chunks), most)


def _places(chunks: Integers, wanted: npt.NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """Row and place of the tokens of wanted chunks, by row and chunk."""
    rows, places = np.nonzero(chunks >= 0)
    chosen = wanted[rows, chunks[rows, places]]
    return rows[chosen], places[chosen]
