"""Prefix codes for small integers in contexts: short codes for what is frequent, tables that decode many at once."""

from __future__ import annotations

import heapq
from typing import final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import SignalError

__all__ = ["LONGEST", "PrefixCode", "octave"]

Integers = npt.NDArray[np.int64]

LONGEST = 11
"""The most bits of a code; what follows it are the extra bits of a large integer."""


def octave(values: Integers) -> Integers:
    """floor(log2(v)) of positive integers below 2^52, read off the exponent of a float: `[...]` -> `[...]`."""
    return (values.astype(np.float64).view(np.int64) >> 52) - 1023


@final
class PrefixCode:
    """Codes for the integers 0 to `largest`, one code book per context.

    An integer is a symbol and extra bits. Below 2^`mantissa` it is its own symbol; above, the symbol tells its octave
    and the `mantissa` bits after the leading one, and the rest are stored as they are. The symbols of each context
    have a canonical Huffman code (Huffman 1952) of at most `LONGEST` bits, known by its lengths alone.
    """

    def __init__(self, lengths: npt.NDArray[np.uint8], mantissa: int) -> None:
        self.lengths, self.mantissa = lengths, mantissa
        symbols = np.arange(lengths.shape[1], dtype=np.int64)
        octaves = symbols >> mantissa  # 0 for the integers below 2^mantissa
        self._extras = np.maximum(octaves - 1, 0)
        self._bases = np.where(octaves == 0, symbols, ((symbols & _ones(mantissa)) | 1 << mantissa) << self._extras)
        self._codes = np.stack([_canonical(row) for row in lengths])
        self.table = np.concatenate([self._decoder(context) for context in range(len(lengths))])
        """The decoders of all contexts, one after the other."""

    @classmethod
    def fit(cls, values: Integers, contexts: Integers, books: int, largest: int, mantissa: int) -> PrefixCode:
        """The code books that suit what was seen: `values` and `contexts` `[seen]`; every integer stays possible."""
        count = int(_symbols(np.array([largest]), mantissa)[0]) + 1
        seen = np.bincount(contexts * count + _symbols(values, mantissa), minlength=books * count)
        return cls(np.stack([_huffman(row) for row in seen.reshape(books, count)]), mantissa)

    def encode(self, values: Integers, contexts: Integers | int) -> tuple[Integers, Integers]:
        """The bits of each integer, the first in the lowest place, and how many: `[...]` -> `[...]`, `[...]`."""
        symbols = _symbols(values, self.mantissa)
        lengths = self.lengths[contexts, symbols].astype(np.int64)
        bits = self._codes[contexts, symbols] | (values - self._bases[symbols]) << lengths
        return bits, lengths + self._extras[symbols]

    def _decoder(self, context: int) -> Integers:
        """What to do on each `LONGEST` bits that may come next: `[2^LONGEST]`.

        From the lowest bit: 4 bits for the length of the code, 5 for the number of extra bits, and above them the
        integer to which those are added.
        """
        table = np.zeros(1 << LONGEST, dtype=np.int64)
        for symbol, length in enumerate(self.lengths[context].tolist()):
            entry = int(self._bases[symbol]) << 9 | int(self._extras[symbol]) << 4 | length
            table[int(self._codes[context, symbol]) :: 1 << length] = entry
        return table


def _ones(bits: int) -> int:
    return (1 << bits) - 1


def _symbols(values: Integers, mantissa: int) -> Integers:
    """The symbol of each integer."""
    above = np.maximum(octave(np.maximum(values, 1)) - mantissa, 0)
    large = (above + 1 << mantissa) + (values >> above) - (1 << mantissa)
    return np.where(values < 1 << mantissa, values, large)


def _huffman(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """The lengths of an optimal prefix code `[symbols]`, of at most `LONGEST` bits; unseen symbols get long ones."""
    floor = 0.05
    while True:
        lengths = _unlimited_huffman(np.maximum(counts.astype(np.float64), floor))
        if lengths.max() <= LONGEST:
            return lengths
        floor *= 2


def _unlimited_huffman(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    lengths = np.zeros(len(weights), dtype=np.uint8)
    heap = [(weight, symbol, [symbol]) for symbol, weight in enumerate(weights.tolist())]
    heapq.heapify(heap)
    for node in range(len(weights), 2 * len(weights) - 1):
        light, lighter = heapq.heappop(heap), heapq.heappop(heap)
        members = light[2] + lighter[2]
        lengths[members] += 1
        heapq.heappush(heap, (light[0] + lighter[0], node, members))
    return lengths


def _canonical(lengths: npt.NDArray[np.uint8]) -> Integers:
    """The codes that lengths stand for, shortest first and then by symbol, their first bit in the lowest place."""
    codes = np.zeros(len(lengths), dtype=np.int64)
    code, before = 0, 0
    for symbol in np.argsort(lengths, kind="stable").tolist():
        length = int(lengths[symbol])
        code <<= length - before
        codes[symbol] = int(f"{code:0{length}b}"[::-1], 2)
        code, before = code + 1, length
    if not 0 < code == 1 << before:
        raise SignalError("The code lengths of these signals make no prefix code; the file is damaged.")
    return codes
