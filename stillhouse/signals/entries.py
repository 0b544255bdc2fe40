"""Entries, ids each with a small number, at every position; and the coder that turns them into few bytes and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from stillhouse.signals.prefix import LONGEST, PrefixCode

__all__ = ["MOST_IDS", "MOST_VALUES", "Entries", "EntryCoder", "Streams"]

MOST_IDS = 1 << 19
MOST_VALUES = (1 << 12) - 1
"""A number is below this: an entry, sorted as one 32-bit key, is 12 bits of number and 20 of id."""

_Integers = npt.NDArray[np.int64]

_ID_BITS = 20
_ABSENT = 0xFFFFFFFF
_FIRST_MANTISSA, _GAP_MANTISSA, _VALUE_MANTISSA = 3, 1, 2
_DECODED, _ENCODED = 4096, 1024
"""How many positions go side by side: enough to hide what a call costs, few enough for the cache."""
_SEEN_ENOUGH = 2
"""Ids seen less often keep their own order."""


@final
@dataclass(frozen=True, eq=False)
class Entries:
    """Keys `[positions, k]`, sorted along each row: the largest number first, equal ones by id, absent ones last."""

    keys: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, ids: npt.NDArray[Any], values: npt.NDArray[Any], there: npt.NDArray[np.bool_]) -> Entries:
        """From ids and numbers `[positions, k]` in any order, and which of them are there."""
        keys = (MOST_VALUES - 1 - values.astype(np.uint32)) << np.uint32(_ID_BITS) | ids.astype(np.uint32)
        keys[~there] = _ABSENT
        keys.sort(axis=1)
        return cls(keys)

    @classmethod
    def stack(cls, parts: Sequence[Entries]) -> Entries:
        """Several, one below the other, as wide as the widest."""
        width = max((part.keys.shape[1] for part in parts), default=0)
        keys = np.full((sum(map(len, parts)), width), _ABSENT, dtype=np.uint32)
        at = 0
        for part in parts:
            keys[at : at + len(part), : part.keys.shape[1]] = part.keys
            at += len(part)
        return cls(keys)

    @property
    def ids(self) -> npt.NDArray[np.int32]:
        """The ids, 0 where there is none: `[positions, k]`."""
        ids = (self.keys & np.uint32((1 << _ID_BITS) - 1)).view(np.int32)
        if (self.keys[:, -1:] == _ABSENT).any():
            ids[self.keys == _ABSENT] = 0
        return ids

    @property
    def places(self) -> _Integers:
        """MOST_VALUES - 1 - number, and MOST_VALUES where there is no entry: `[positions, k]`."""
        return (self.keys >> np.uint32(_ID_BITS)).astype(np.int64)

    @property
    def values(self) -> npt.NDArray[np.int32]:
        """The numbers, -1 where there is none: `[positions, k]`."""
        return (MOST_VALUES - 1 - self.places).astype(np.int32)

    @property
    def there(self) -> npt.NDArray[np.bool_]:
        return self.keys != _ABSENT

    def repeated(self) -> int | None:
        """An id that a position names twice, if one does."""
        ids = np.sort(np.where(self.there, self.ids, np.arange(-int(self.keys.shape[1]), 0)), axis=1)
        twice = ids[:, 1:][np.diff(ids, axis=1) == 0]
        return int(twice[0]) if len(twice) else None

    def __len__(self) -> int:
        return len(self.keys)


@final
@dataclass(frozen=True, eq=False)
class Streams:
    """Coded positions one after another: `data` of all, and `lengths` `[positions]` in bytes."""

    data: npt.NDArray[np.uint8]
    lengths: _Integers

    @classmethod
    def join(cls, parts: Sequence[Streams]) -> Streams:
        """Several, one after the other."""
        data = np.concatenate([np.zeros(0, dtype=np.uint8), *(part.data for part in parts)])
        return cls(data, np.concatenate([np.zeros(0, dtype=np.int64), *(part.lengths for part in parts)]))


@final
class EntryCoder:
    """Turns entries into bytes and back without loss.

    Ids become ranks by how often they were seen, so that the ids of a position lie close together, and sorted ranks
    become gaps. A position is the code of its smallest number, then for each id in order of rank the codes of the gap
    before it and of its number above the smallest. A gap's code book depends on the octave of the rank before it:
    gaps grow with rank. What was seen only sets the sizes; any ids and numbers can be coded.
    """

    def __init__(self, order: npt.NDArray[np.int32], firsts: PrefixCode, gaps: PrefixCode, values: PrefixCode) -> None:
        self.order, self.firsts, self.gaps, self.values = order, firsts, gaps, values
        self._ranks, self._ids = _ranks(order), order.astype(np.int64)

    @classmethod
    def fit(cls, seen: Entries, vocabulary: int, largest: int) -> EntryCoder:
        """The coder that suits what was `seen`, for ids below `vocabulary` and numbers up to `largest`.

        Gaps are measured with ranks from the other half of the positions: their own would flatter them.
        """
        halves = Entries(seen.keys[::2]), Entries(seen.keys[1::2])
        ranked = [
            _Ranked.of(half, _ranks(_order(other, vocabulary)))
            for half, other in zip(halves, halves[::-1], strict=True)
        ]
        there = [half.there for half in ranked]
        gaps = np.concatenate([half.gaps[those] for half, those in zip(ranked, there, strict=True)])
        contexts = np.concatenate([half.contexts[those] for half, those in zip(ranked, there, strict=True)])
        values = np.concatenate([half.values[those] for half, those in zip(ranked, there, strict=True)])
        firsts = np.concatenate([half.firsts for half in ranked])
        return cls(
            _order(seen, vocabulary),
            PrefixCode.fit(firsts, np.zeros_like(firsts), 1, largest, _FIRST_MANTISSA),
            PrefixCode.fit(gaps, contexts, _books(vocabulary), vocabulary, _GAP_MANTISSA),
            PrefixCode.fit(values, np.zeros_like(values), 1, largest, _VALUE_MANTISSA),
        )

    @classmethod
    def unpack(cls, vocabulary: int, parts: Mapping[str, npt.NDArray[np.uint8]]) -> EntryCoder:
        """The coder that `pack` packed, for ids below `vocabulary`."""
        often = parts["order"].view("<i4").astype(np.int32)
        rare = np.ones(vocabulary, dtype=np.bool_)
        rare[often] = False
        order = np.concatenate([often, np.flatnonzero(rare).astype(np.int32)])
        firsts, gaps, values = (
            PrefixCode(parts[name].reshape(books, -1), mantissa)
            for name, books, mantissa in (
                ("firsts", 1, _FIRST_MANTISSA),
                ("gaps", _books(vocabulary), _GAP_MANTISSA),
                ("values", 1, _VALUE_MANTISSA),
            )
        )
        return cls(order, firsts, gaps, values)

    def pack(self) -> dict[str, bytes]:
        """What was learnt: the ids seen often, and the lengths of the codes."""
        falls = np.flatnonzero(np.diff(self.order) < 0)
        often = int(falls[-1]) + 1 if len(falls) else 0
        codes = {"firsts": self.firsts, "gaps": self.gaps, "values": self.values}
        order = self.order[:often].astype("<i4").tobytes()
        return {"order": order} | {name: code.lengths.tobytes() for name, code in codes.items()}

    def encode(self, entries: Entries) -> Streams:
        """The bytes of each position, each of which has an entry and no id twice."""
        parts = [self._encode(Entries(entries.keys[at : at + _ENCODED])) for at in range(0, len(entries), _ENCODED)]
        return Streams.join(parts)

    def _encode(self, entries: Entries) -> Streams:
        ranked = _Ranked.of(entries, self._ranks)
        first, first_length = self.firsts.encode(ranked.firsts, 0)
        gap, gap_length = self.gaps.encode(ranked.gaps, ranked.contexts)
        value, value_length = self.values.encode(ranked.values, 0)
        bits = np.concatenate([first[:, None], gap | value << gap_length], axis=1)
        lengths = np.concatenate([first_length[:, None], (gap_length + value_length) * ranked.there], axis=1)
        return _pack(bits, lengths)

    def decode(self, streams: Streams, counts: _Integers, k: int) -> Entries:
        """The entries of positions that have `counts` `[positions]` of them each, at most `k`."""
        keys = np.full((len(counts), k), _ABSENT, dtype=np.uint32)
        ends = np.cumsum(streams.lengths)
        for at in range(0, len(counts), _DECODED):
            lanes = slice(at, at + _DECODED)
            starts = ends[lanes] - streams.lengths[lanes]
            windows = _windows(streams.data[starts[0] : ends[lanes][-1]])
            starts = (starts - starts[0]) * 8
            if counts[lanes].min() == k:
                self._decode(windows, starts, counts[lanes], keys[lanes])
            else:  # those with most ids first
                order = np.argsort(-counts[lanes], kind="stable")
                some = keys[lanes][order]
                self._decode(windows, starts[order], counts[lanes], some)
                keys[at + order] = some
            keys[lanes].sort(axis=1)
        return Entries(keys)

    def _decode(self, windows: _Integers, at: _Integers, counts: _Integers, keys: npt.NDArray[np.uint32]) -> None:
        """Decode positions side by side, id by id, into `keys` `[lanes, k]`.

        Each starts `at` a bit of the windows; those that have more ids than others come before them.
        """
        ended = np.cumsum(np.bincount(counts, minlength=keys.shape[1] + 1))
        first, used = _read(self.firsts.table, windows[at >> 4] >> (at & 15))
        at = at + used
        top = (MOST_VALUES - 1 - first) << _ID_BITS
        after, contexts = np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
        for j in range(keys.shape[1]):
            more = len(keys) - int(ended[j])
            at, top, after, contexts = at[:more], top[:more], after[:more], contexts[:more]
            window = windows.take(at >> 4)
            window >>= at & 15
            gap, used = _read(self.gaps.table, window, contexts)
            window >>= used
            at += used
            value, used = _read(self.values.table, window)
            at += used
            after += gap
            value <<= _ID_BITS
            key = top - value
            key += self._ids.take(after)
            keys[:more, j] = key
            after += 1
            contexts = _context(after)
            contexts <<= LONGEST


@final
@dataclass(frozen=True, eq=False)
class _Ranked:
    """Entries by rank: what the codes say. All are `[positions, k]` and 0 where there is none, but `firsts`."""

    firsts: _Integers
    gaps: _Integers
    contexts: _Integers
    values: _Integers
    there: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, entries: Entries, ranks: npt.NDArray[np.uint32]) -> _Ranked:
        there = entries.there
        keys = ranks[entries.ids] << np.uint32(12) | (MOST_VALUES - 1 - entries.places).astype(np.uint32)
        keys[~there] = _ABSENT
        keys.sort(axis=1)
        sorted_ranks = (keys >> np.uint32(12)).astype(np.int64)
        values = (keys & np.uint32(MOST_VALUES)).astype(np.int64)
        firsts = values.min(axis=1, initial=MOST_VALUES)
        before = np.concatenate([np.full((len(keys), 1), -1), sorted_ranks[:, :-1]], axis=1)
        contexts = _context(before + 1)
        gaps = (sorted_ranks - before - 1) * there
        return cls(firsts, gaps, contexts * there, (values - firsts[:, None]) * there, there)


def _order(entries: Entries, vocabulary: int) -> npt.NDArray[np.int32]:
    """The ids from the most to the least often seen: `[vocabulary]`."""
    seen = np.bincount(entries.ids[entries.there], minlength=vocabulary)
    return np.argsort(np.where(seen < _SEEN_ENOUGH, 0, -seen), kind="stable").astype(np.int32)


def _ranks(order: npt.NDArray[np.int32]) -> npt.NDArray[np.uint32]:
    ranks = np.empty(len(order), dtype=np.uint32)
    ranks[order] = np.arange(len(order), dtype=np.uint32)
    return ranks


def _books(vocabulary: int) -> int:
    """One code book for the first gap of a position, and one for each octave of the rank before."""
    return 2 + vocabulary.bit_length()


def _context(after: _Integers) -> _Integers:
    """The code book for a gap: 0 at the start, else 1 + floor(log2(rank before + 1)); `after` is that rank + 1.

    It is the exponent that a float has when its bias is scaled away.
    """
    return (after * 2.0**-1022).view(np.int64) >> 52


def _read(table: _Integers, window: _Integers, contexts: _Integers | None = None) -> tuple[_Integers, _Integers]:
    """The integers whose codes come next, and how many bits they took: windows `[lanes]` -> `[lanes]`, `[lanes]`."""
    place = window & ((1 << LONGEST) - 1)
    if contexts is not None:
        place += contexts
    entries = table.take(place)
    length = entries & 15
    number = window >> length
    extra = entries >> 4
    extra &= 31
    kept = np.left_shift(-1, extra)
    number &= np.invert(kept, out=kept)
    entries >>= 9
    number += entries
    length += extra
    return number, length


def _windows(data: npt.NDArray[np.uint8]) -> _Integers:
    """The 64 bits that start at every second byte: `[bytes]` -> `[bytes // 2 + 1]`."""
    padded = np.zeros(len(data) // 2 * 2 + 10, dtype=np.uint8)
    padded[: len(data)] = data
    return np.ndarray(((len(padded) - 8) // 2 + 1,), "<i8", padded, strides=(2,)).copy()


def _pack(bits: _Integers, lengths: _Integers) -> Streams:
    """Lay the `lengths` low bits of each column side by side, row by row, each row up to a whole byte."""
    starts = np.cumsum(lengths, axis=1) - lengths
    totals = lengths.sum(axis=1)
    width = int(totals.max(initial=0)) // 64 + 2
    words = np.zeros(len(bits) * width, dtype=np.uint64)
    places = np.arange(len(bits))[:, None] * width + (starts >> 6)
    shifts = (starts & 63).astype(np.uint64)
    chunks = np.where(lengths > 0, bits, 0).astype(np.uint64)
    low, high = chunks << shifts, chunks >> np.uint64(1) >> np.uint64(63) - shifts
    for column in range(bits.shape[1]):  # within a column every row has words of its own
        place = places[:, column]
        words[place] |= low[:, column]
        words[place + 1] |= high[:, column]
    sizes = (totals + 7) >> 3
    rows = words.view(np.uint8).reshape(len(bits), width * 8)
    return Streams(rows[np.arange(width * 8) < sizes[:, None]], sizes)
