"""Passages: the parts of rows that count, as two tokenizers read them, cut into the chunks that both share.

Each side wraps what is said in a chat template of its own. Only what both write alike is cut: the whole part where it
is the same text, and else the words alone; the tokens that end it are a chunk of their own where both end there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import numpy as np

from stillhouse.errors import UsageError
from stillhouse.signals.align import align
from stillhouse.signals.spans import Spans
from stillhouse.signals.token_bytes import Integers, TokenBytes

__all__ = ["Chunks", "Passage", "Placed", "Reading", "cut_alike"]


@final
@dataclass(frozen=True, eq=False)
class Passage:
    """A part of a row that counts, in bytes of the row's text.

    `text` are its bytes from `start` on, without the token that ends it, whose place in the row is `closing` (-1: there
    is none). `words` `[first, last)`, counted from `start`, is what was said, which no template changes.
    """

    start: int
    text: bytes
    words: tuple[int, int]
    closing: int = -1

    @property
    def said(self) -> bytes:
        """The words alone."""
        return self.text[slice(*self.words)]


@final
@dataclass(frozen=True, eq=False)
class Placed:
    """A row as a tokenizer reads it: where its tokens lie in the bytes of its text, and the parts of it that count.

    `starts` and `ends` are `[tokens]`, -1 for a token outside the text, as in `Spans`.
    """

    starts: Integers
    ends: Integers
    passages: tuple[Passage, ...]

    def keep(self, places: Integers) -> Placed:
        """The same row of which only the tokens at these places, in rising order, are left."""
        where = dict(zip(places.tolist(), range(len(places)), strict=True))
        passages = [replace(part, closing=where.get(part.closing, -1)) for part in self.passages]
        return Placed(self.starts[places], self.ends[places], tuple(passages))


@final
@dataclass(frozen=True, eq=False)
class Reading:
    """All rows as a tokenizer reads them, and what each of its ids writes."""

    vocabulary: TokenBytes
    rows: Sequence[Placed]


@final
@dataclass(frozen=True, eq=False)
class Chunks:
    """The chunk of each token of a row, left and right `[tokens]` each, -1 for none; and how many there are."""

    left: Integers
    right: Integers
    count: int


class _Piece(NamedTuple):
    """One side of a passage: which tokens of its row, and where they lie in the text that both sides have."""

    places: Integers
    starts: Integers
    ends: Integers


def cut_alike(left: Sequence[Placed], right: Sequence[Placed]) -> list[Chunks]:
    """The chunks of each row, which is the same row on both sides; all rows are cut at once.

    A chunk that holds the first token of a row, which nothing predicts, is none. Raises UsageError where a row has
    other parts that count on one side than on the other.
    """
    rows: list[int] = []
    pieces: list[tuple[_Piece, _Piece]] = []
    for row, (mine, its) in enumerate(zip(left, right, strict=True)):
        if len(mine.passages) != len(its.passages):
            raise UsageError(
                f"On one side {len(mine.passages)} parts of a row count, on the other {len(its.passages)}. Read both "
                "sides from the same rows, with the same parts counted."
            )
        for one, other in zip(mine.passages, its.passages, strict=True):
            spans = _common(one, other)
            if spans is not None:
                closed = _closes(one, spans[0]) and _closes(other, spans[1])
                rows.append(row)
                pieces.append((_piece(mine, one, spans[0], closed), _piece(its, other, spans[1], closed)))
    return _chunks(left, right, rows, pieces)


def _common(one: Passage, other: Passage) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """What two sides of a passage have in common, as `[first, last)` of the text of each; None for nothing."""
    if one.text == other.text:
        return (0, len(one.text)), (0, len(other.text))
    if one.said != other.said:
        return None
    return one.words, other.words


def _closes(passage: Passage, span: tuple[int, int]) -> bool:
    """Whether nothing but white space comes between the end of a span and the token that ends the passage."""
    return passage.closing >= 0 and not passage.text[span[1] :].strip()


def _piece(row: Placed, passage: Passage, span: tuple[int, int], closed: bool) -> _Piece:
    """The tokens of a row within a span of a passage, counted from where the span begins.

    A token that begins in the white space before the span belongs to it; one that reaches over its ends lies outside.
    Where it is `closed`, what ends the passage is one more byte after it.
    """
    first, last = span
    low, high = passage.start + first, passage.start + last
    before = first - len(passage.text[:first].rstrip())
    inside = (row.starts >= low - before) & (row.starts < high) & (row.ends <= high)
    inside &= (row.starts >= low) | (row.ends > low)
    places = np.flatnonzero(inside)
    starts, ends = np.maximum(row.starts[places], low) - low, row.ends[places] - low
    size = high - low
    if closed and (not len(ends) or ends[-1] == size):
        white = np.flatnonzero((row.starts >= high) & (row.ends <= passage.start + len(passage.text)))
        places = np.concatenate([places, white, [passage.closing]])
        starts = np.concatenate([starts, np.full(len(white) + 1, size)])
        ends = np.concatenate([ends, np.full(len(white), size), [size + 1]])
    return _Piece(places, starts, ends)


def _chunks(
    left: Sequence[Placed], right: Sequence[Placed], rows: Sequence[int], pieces: Sequence[tuple[_Piece, _Piece]]
) -> list[Chunks]:
    """Cut all pieces at once, and number the chunks of each row one after the other."""
    mine = [np.full(len(row.starts), -1, dtype=np.int64) for row in left]
    its = [np.full(len(row.starts), -1, dtype=np.int64) for row in right]
    found = align(_spans([one for one, _ in pieces]), _spans([other for _, other in pieces]))
    counts = [0] * len(left)
    for at, (row, (one, other), count) in enumerate(zip(rows, pieces, found.counts.tolist(), strict=True)):
        for chunks, cut, piece in ((mine[row], found.left, one), (its[row], found.right, other)):
            own = cut[at, : len(piece.places)]
            chunks[piece.places] = np.where(own >= 0, own + counts[row], -1)
        counts[row] += count
    for side in (mine, its):
        for chunks in side:
            if len(chunks) and chunks[0] >= 0:
                chunks[chunks == chunks[0]] = -1
    return [Chunks(*each) for each in zip(mine, its, counts, strict=True)]


def _spans(pieces: Sequence[_Piece]) -> Spans:
    """Pieces as rows of spans."""
    longest = max((len(piece.places) for piece in pieces), default=0)
    starts = np.full((len(pieces), longest), -1, dtype=np.int64)
    ends = starts.copy()
    for row, piece in enumerate(pieces):
        starts[row, : len(piece.places)], ends[row, : len(piece.places)] = piece.starts, piece.ends
    return Spans(starts, ends)
