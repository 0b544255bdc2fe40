"""Personal data and secrets in a text, found in one pass: `find` is the door to all that `personal/` knows."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Collection
from functools import cache
from typing import final

from stillhouse.data.personal.addresses import addresses
from stillhouse.data.personal.context import by_context
from stillhouse.data.personal.credentials import credentials
from stillhouse.data.personal.marks import marks
from stillhouse.data.personal.names import names
from stillhouse.data.personal.numbers import numbers
from stillhouse.data.personal.span import Span, Type, apart

__all__ = ["CERTAIN", "NAMED", "PLACEHOLDER", "Span", "Type", "find", "folded"]

NAMED = frozenset({Type.PERSON, Type.ORGANIZATION, Type.LOCATION})
"""What is recognised by a tagger that has learnt it, and not by its form."""
CERTAIN = frozenset(Type) - {Type.ORGANIZATION, Type.LOCATION}
"""What is looked for where nobody says what: organisations and places alone say nothing of a person."""
ENOUGH = 0.5
PLACEHOLDER = re.compile(r"\[(?:" + "|".join(kind.upper() for kind in Type) + r")(?:[:#][\w\-=]+)?\]")
"""What stands where something was taken out."""
SPECIAL = {0x2010: "-", 0x2011: "-", 0x2012: "-", 0x2013: "-", 0x2212: "-", 0xFE63: "-", 0x0130: "I"}
"""Hyphens, and the one letter that is longer when it is small."""


def find(
    text: str,
    types: Collection[Type] = CERTAIN,
    least: float = ENOUGH,
    second: Callable[[str], list[Span]] | None = None,
) -> list[Span]:
    """What is personal or secret in a text, in its order; no two spans overlap, and `text[span.start:span.end]` is it.

    Digits, letters and hyphens of other scripts count as the plain ones. What stands in a placeholder of ours is left.
    `second` looks too, and adds what lies beside what is known by its form; of names the longer one stays.
    """
    plain = folded(text)
    low = plain.lower()
    found = [*marks(plain), *credentials(plain, low), *by_context(plain, low)]
    if any(map(plain.__contains__, "0123456789")):
        found += numbers(plain, low)
        if Type.ADDRESS in types:
            found += addresses(plain, low)
    wanted = apart(span for span in found if span.score >= least and span.type in types)
    named = [] if NAMED.isdisjoint(types) else names(plain)
    if second is not None:
        named = apart([*named, *second(plain)], longest=True)
    wanted = _beside(wanted, [span for span in named if span.score >= least and span.type in types])
    if not wanted:
        return []
    if "[" in plain:
        taken = [match.span() for match in PLACEHOLDER.finditer(plain)]
        wanted = [each for each in wanted if all(each.end <= one or other <= each.start for one, other in taken)]
    return wanted


def folded(text: str) -> str:
    """A text with plain digits, letters, hyphens and spaces for those that look like them, each in its place."""
    return text if text.isascii() else text.translate(_fold())


def _beside(sure: list[Span], named: list[Span]) -> list[Span]:
    """Both in their order; a name within what is known by its form, such as a town in an address, is left out."""
    ends = [span.end for span in sure]
    kept: list[Span] = []
    for span in named:
        place = bisect_right(ends, span.start)
        if place == len(sure) or sure[place].start >= span.end:
            kept.append(span)
    return sorted([*sure, *kept], key=lambda each: each.start)


@final
class Fold(dict[int, str | None]):
    """Characters that look like plain ones, each with the one it stands for: lengths and places stay the same."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        if unicodedata.category(letter) == "Nd":
            plain = str(unicodedata.decimal(letter))
        elif 0xFF01 <= code <= 0xFF5E:
            plain = chr(code - 0xFF01 + 0x21)
        elif unicodedata.category(letter) == "Zs":
            plain = " "
        else:
            plain = SPECIAL.get(code, letter)
        self[code] = plain
        return plain


@cache
def _fold() -> Fold:
    """One for all texts: it remembers each character that it has seen."""
    return Fold()
