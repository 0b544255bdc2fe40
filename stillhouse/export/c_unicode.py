"""Sets and mappings of characters as compact tables for C: what Python calls a letter, and how it lowers case."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["every_character", "letter_tables", "packed_set"]

SURROGATES = range(0xD800, 0xE000)
CODES = sys.maxunicode + 1
"""How many code points there are."""
SIGMA, DOTTED_I = "\u03a3", "\u0130"
"""The two letters that `str.lower` treats apart: one by what stands around it, one as two letters."""


def every_character(start: int = 0) -> Iterator[str]:
    """Every character that a text can hold, in order."""
    return (chr(code) for code in range(start, CODES) if code not in SURROGATES)


def packed_set(members: Iterable[str]) -> npt.NDArray[np.uint8]:
    """A set of characters as the distances between the places where it begins and ends, 7 bits a byte, low ones first.

    Each byte but the last of a distance has its highest bit set, as in DWARF's unsigned LEB128. An empty set is one
    that begins where no character is.
    """
    codes = {ord(member) for member in members}
    begins = [code for code in codes if code - 1 not in codes]
    ends = [code + 1 for code in codes if code + 1 not in codes]
    borders = sorted([*begins, *ends]) or [CODES]
    packed = bytearray()
    for distance in np.diff([0, *borders]).tolist():
        while distance > 0x7F:
            packed.append(distance & 0x7F | 0x80)
            distance >>= 7
        packed.append(distance)
    return np.frombuffer(bytes(packed), dtype=np.uint8)


@cache
def letter_tables() -> dict[str, Any]:
    """What the `words` student reads text by, as this Python has it: `\\w`, `\\s`, and `str.lower` with its contexts.

    `unicode_lower` holds runs (first, last, distance from one to the next, what is added modulo 2^32).
    """
    return {
        "unicode_words": _set(lambda c: c.isalnum() or c == "_"),
        "unicode_spaces": _set(str.isspace),
        "unicode_cased": _set(_is_cased),
        "unicode_ignorable": _set(lambda c: not _is_cased(c) and _ends(f"A{c}")),
        "unicode_lower": _lower_runs(),
    }


def _set(belongs: Callable[[str], bool]) -> npt.NDArray[np.uint8]:
    return packed_set(c for c in every_character() if belongs(c))


def _ends(before: str) -> bool:
    """Whether a capital sigma after these characters becomes a final one."""
    return (before + SIGMA).lower()[-1] == "\u03c2"


def _is_cased(c: str) -> bool:
    """Whether a character has case as `str.lower` sees it beside a sigma."""
    return _ends(c)


def _lower_runs() -> npt.NDArray[np.uint32]:
    changed = [(ord(c), ord(c.lower())) for c in every_character(128) if c not in (SIGMA, DOTTED_I) and c.lower() != c]
    runs: list[list[int]] = []
    for code, small in changed:
        last = runs[-1] if runs else None
        if last is not None and small - code == last[3] and _goes_on(last, code):
            last[2] = code - last[1] if last[1] == last[0] else last[2]
            last[1] = code
        else:
            runs.append([code, code, 1, small - code])
    return np.asarray([[first, last, step, add % 2**32] for first, last, step, add in runs], dtype=np.uint32)


def _goes_on(run: list[int], code: int) -> bool:
    """Whether a letter continues a run: one or two after the last, always by as much."""
    distance = code - run[1]
    return distance in (1, 2) if run[0] == run[1] else distance == run[2]
