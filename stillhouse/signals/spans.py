"""Spans: where each token lies in the UTF-8 bytes of its text.

Two ways lead there. The bytes that the ids themselves write are laid end to end and compared with the text: exact
inside characters of several bytes, too. Where they differ from the text (a normaliser changed it, a word piece lost
its spaces), the tokenizer's own offsets into the text are used.

Supported: byte-level, SentencePiece, WordPiece and plain vocabularies; special tokens that the tokenizer adds on either
side (they lie outside); a space added before the text; texts cut short at either end; normalisers of any kind as long
as the tokenizer reports offsets. Not supported, and refused: pairs of texts in one encoding, and encodings without
offsets whose ids do not write the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from stillhouse.errors import UsageError
from stillhouse.signals.token_bytes import Integers, TokenBytes

__all__ = ["Spans", "spans_of_encodings", "spans_of_ids", "spans_of_offsets"]

Flags = npt.NDArray[np.bool_]
_WHITE = np.array([ord(letter) for letter in map(chr, range(0x3001)) if letter.isspace()], dtype=np.uint32)


@final
@dataclass(frozen=True, eq=False)
class Spans:
    """`starts` and `ends` in bytes, both `[rows, tokens]`; -1 for a token outside the text (BOS, padding).

    The tokens inside lie end to end: each begins where the last one ended, in a row that may begin and end anywhere. A
    token without a boundary of its own (two that share one character, a lone mark of a space that is not in the text)
    has no width and belongs with the token after it. Raises UsageError where that does not hold.
    """

    starts: Integers
    ends: Integers

    def __post_init__(self) -> None:
        if self.starts.shape != self.ends.shape or self.starts.ndim != 2:
            raise UsageError(
                f"Spans need starts and ends of one shape [rows, tokens]; seen {self.starts.shape}, {self.ends.shape}."
            )
        inside = self.starts >= 0
        before = np.maximum.accumulate(self.ends, axis=1)[:, :-1]
        torn = inside[:, 1:] & (before >= 0) & (self.starts[:, 1:] != before)
        if torn.any() or (self.ends < self.starts).any():
            raise UsageError("The tokens of a row must lie end to end; build their spans with spans_of_offsets.")

    def window(self, first: Integers, last: Integers) -> Spans:
        """The spans within bytes `[first, last)` of each row, counted from `first`; the bounds are `[rows]`.

        The answer alone, where each side wraps it in a chat template of its own: tokens that reach over its ends
        lie outside.
        """
        low, high = first[:, None], last[:, None]
        inside = (self.starts >= low) & (self.ends <= high)
        return Spans(np.where(inside, self.starts - low, -1), np.where(inside, self.ends - low, -1))

    def closed(self, ids: Integers, closing: int, sizes: Integers) -> Spans:
        """The same with the token that ends each text as one more byte after it: `[size, size + 1)`.

        So that two sides which say differently that they stop are compared there, too. It is the first id `closing`
        in `ids` `[rows, tokens]` that lies outside and after the text, in rows that reach their `sizes` `[rows]`.
        """
        places = np.arange(int(self.ends.shape[1]))
        last = np.where(self.starts >= 0, places, -1).max(axis=1, initial=-1)
        candidates = (ids == closing) & (self.starts < 0) & (places > last[:, None])
        reached = self.ends.max(axis=1, initial=-1) == sizes
        rows = np.flatnonzero(candidates.any(axis=1) & reached)
        starts, ends = self.starts.copy(), self.ends.copy()
        chosen = candidates[rows].argmax(axis=1) if len(rows) else rows
        starts[rows, chosen], ends[rows, chosen] = sizes[rows], sizes[rows] + 1
        return Spans(starts, ends)


def spans_of_encodings(vocabulary: TokenBytes, encodings: Sequence[Encoding], texts: Sequence[str]) -> Spans:
    """The spans of texts as a tokenizer read them, `[rows, tokens]` with the longest row's tokens.

    `vocabulary` is that tokenizer's. Rows whose ids do not write their text are placed by offsets, so encode with
    `encode` or `encode_batch`: `encode_batch_fast` reports none.
    """
    sizes = _sizes(encodings, texts)
    marks = b"".join(bytes(encoding.special_tokens_mask) for encoding in encodings)
    silent = np.frombuffer(marks, dtype=np.bool_)
    ids = _flat(encoding.ids for encoding in encodings)
    starts, ends, fits = _written(vocabulary, ids, silent, sizes, texts)
    for row in np.flatnonzero(~fits).tolist():
        starts[row, : sizes[row]], ends[row, : sizes[row]] = _by_offsets(encodings[row], texts[row], row)
    return Spans(starts, ends)


def spans_of_ids(
    vocabulary: TokenBytes,
    ids: Sequence[Sequence[int]] | Sequence[Integers],
    texts: Sequence[str],
    outside: Sequence[Flags] | None = None,
    strict: bool = True,
) -> Spans:
    """The spans of ids that came from anywhere, a student's own words included: `[rows, tokens]`.

    Special ids lie outside; or those that `outside` `[tokens]` a row marks, where the texts name special tokens
    (a chat template's). A row may write its text or a beginning of it; any other raises UsageError, or lies outside
    as a whole where `strict` is False (a student can speak bytes that are no text).
    """
    sizes = _sizes(ids, texts)
    flat = _flat(ids)
    _refuse_foreign(vocabulary, flat)
    silent = vocabulary.special[flat] if outside is None else _flat(outside).astype(np.bool_)
    starts, ends, fits = _written(vocabulary, flat, silent, sizes, texts)
    if strict and not fits.all():
        row = int(np.argmin(fits))
        raise UsageError(
            f"Row {row}: the ids do not write its text {texts[row][:60]!r}. Give the text they decode to, encode the "
            "text with offsets, or pass strict=False to leave such rows out."
        )
    starts[~fits], ends[~fits] = -1, -1
    return Spans(starts, ends)


def spans_of_offsets(offsets: Sequence[Integers], texts: Sequence[str], outside: Sequence[Flags]) -> Spans:
    """The spans from offsets in characters, `[tokens, 2]` a row, as tokenizers report them: `[rows, tokens]`.

    `outside` `[tokens]` a row marks the tokens that the tokenizer added. What a normaliser dropped between two tokens
    belongs to the first, from the first whitespace on to the second; tokens that share characters are not parted.
    """
    sizes = _sizes(offsets, texts)
    starts = np.full((len(texts), sizes.max(initial=0)), -1, dtype=np.int64)
    ends = starts.copy()
    for row, (spans, text, left_out) in enumerate(zip(offsets, texts, outside, strict=True)):
        starts[row, : sizes[row]], ends[row, : sizes[row]] = _end_to_end(spans, text, left_out, cut=False)
    return Spans(starts, ends)


def _sizes(rows: Sequence[object], texts: Sequence[str]) -> Integers:
    if len(rows) != len(texts):
        raise UsageError(f"Each row of tokens needs its text; there are {len(rows)} rows and {len(texts)} texts.")
    return np.array([len(row) for row in rows], dtype=np.int64)  # pyright: ignore[reportArgumentType]


def _flat(rows: Iterable[Sequence[int] | Integers | Flags]) -> Integers:
    return np.concatenate([np.zeros(0, dtype=np.int64), *(np.asarray(row, dtype=np.int64) for row in rows)])


def _refuse_foreign(vocabulary: TokenBytes, ids: Integers) -> None:
    if len(ids) and not 0 <= ids.min() <= ids.max() < len(vocabulary.pieces):
        raise UsageError(
            f"Ids from {ids.min()} to {ids.max()} are not of this vocabulary of {len(vocabulary.pieces)}; "
            "is it the tokenizer that wrote them?"
        )


def _written(
    vocabulary: TokenBytes, ids: Integers, silent: Flags, sizes: Integers, texts: Sequence[str]
) -> tuple[Integers, Integers, Flags]:
    """Starts and ends `[rows, tokens]` from the bytes that ids write, and the rows `[rows]` where these are the text's.

    `ids` and `silent` (those that write nothing here) are all rows end to end.
    """
    _refuse_foreign(vocabulary, ids)
    widths = np.where(silent, 0, vocabulary.widths[ids])
    edges = np.concatenate(([0], np.cumsum(widths)))
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    rows = edges[bounds]  # where each row begins among all bytes written
    written = vocabulary.flat[np.repeat(vocabulary.starts[ids] - edges[:-1], widths) + np.arange(edges[-1])]
    expected, leads, fits = _expected(written, rows, texts)
    fits &= ~_any_in_rows(written != expected, rows) & ~_any_in_rows(~(vocabulary.known[ids] | silent), bounds)
    ends = edges[1:] - np.repeat(rows[:-1] + leads, sizes)
    return _padded(np.maximum(ends - widths, 0), silent, sizes), _padded(np.maximum(ends, 0), silent, sizes), fits


def _expected(
    written: npt.NDArray[np.uint8], rows: Integers, texts: Sequence[str]
) -> tuple[npt.NDArray[np.uint8], Integers, Flags]:
    """What the ids should have written: the text or a beginning of it, perhaps (`leads` 1) after an added space."""
    parts: list[bytes] = []
    leads = np.zeros(len(texts), dtype=np.int64)
    fits = np.ones(len(texts), dtype=np.bool_)
    for row, text in enumerate(texts):
        told = text.encode()
        size = int(rows[row + 1] - rows[row])
        spaced = size > 0 and written[rows[row]] == 0x20
        leads[row] = size > len(told) or (spaced and not told.startswith(b" "))
        part = (b" " + told if leads[row] else told)[:size]
        fits[row] = len(part) == size
        parts.append(part.ljust(size, b"\0"))
    return np.frombuffer(b"".join(parts), dtype=np.uint8), leads, fits


def _any_in_rows(flags: Flags, bounds: Integers) -> Flags:
    """Whether any flag between each two bounds is set."""
    if not flags.any():
        return np.zeros(len(bounds) - 1, dtype=np.bool_)
    counted = np.concatenate(([0], np.cumsum(flags)))
    return counted[bounds[1:]] > counted[bounds[:-1]]


def _padded(flat: Integers, silent: Flags, sizes: Integers) -> Integers:
    """Rows end to end as `[rows, tokens]`, -1 for the silent and the padding."""
    rows = np.full((len(sizes), sizes.max(initial=0)), -1, dtype=np.int64)
    rows[np.arange(rows.shape[1]) < sizes[:, None]] = np.where(silent, -1, flat)
    return rows


def _by_offsets(encoding: Encoding, text: str, row: int) -> tuple[Integers, Integers]:
    if encoding.n_sequences > 1:
        raise UsageError(f"Row {row} encodes a pair of texts; encode one text at a time to place its tokens.")
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    outside = np.array(encoding.special_tokens_mask, dtype=np.bool_)
    if not offsets.any() and not outside.all():
        raise UsageError(
            f"Row {row}: the ids do not write the text {text[:60]!r} and the encoding has no offsets. "
            "Encode with `encode_batch` rather than `encode_batch_fast`."
        )
    return _end_to_end(offsets, text, outside, cut=bool(encoding.overflowing))


def _end_to_end(offsets: Integers, text: str, outside: Flags, cut: bool) -> tuple[Integers, Integers]:
    """Starts and ends `[tokens]` in bytes from offsets in characters; `cut` says that the tokens are not all."""
    starts, ends = np.full(len(outside), -1, dtype=np.int64), np.full(len(outside), -1, dtype=np.int64)
    inner = np.flatnonzero(~outside)
    if not len(inner):
        return starts, ends
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    first, last = offsets[inner, 0], offsets[inner, 1]
    if (first > last).any() or first.min() < 0 or last.max() > len(points):
        raise UsageError(f"Offsets reach outside the text {text[:60]!r} of {len(points)} characters; is it another?")
    white = np.append(np.flatnonzero(np.isin(points, _WHITE)), len(points))
    reached = np.maximum.accumulate(last)
    ahead = np.append(np.minimum.accumulate(first[::-1])[::-1][1:], reached[-1] if cut else len(points))
    begin = 0 if not cut or text[: first.min()].isspace() else int(first.min())
    seams = np.minimum(white[np.searchsorted(white, reached)], ahead)
    seams = np.maximum.accumulate(np.where(reached <= ahead, seams, begin))
    lead = (points[:, None] >= np.array([0x80, 0x800, 0x10000])).sum(axis=1) + 1
    places = np.concatenate(([0], np.cumsum(lead)))
    starts[inner], ends[inner] = places[np.append(begin, seams[:-1])], places[seams]
    return starts, ends
