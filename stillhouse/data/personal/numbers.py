"""Runs of digits in a text, told apart: cards, phones, addresses of machines, ids of people, dates of birth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from stillhouse.data.personal.cards import card
from stillhouse.data.personal.codes import code_at
from stillhouse.data.personal.national import national_id
from stillhouse.data.personal.phones import phone
from stillhouse.data.personal.span import Span, Type

__all__ = ["numbers"]

RUN = re.compile(r"[+(]?\d+(?:[ .\-/()+]{1,2}\(?\d+)*")
GROUP = re.compile(r"\d+")
WORD = re.compile(r"[^\W\d_]{2,}(?![\w])")
"""A word of letters, as may follow a number after a hyphen: `555-0142-Office`."""
EXTENSION = re.compile(r" ?(?:x|ext\.?) ?\d{1,6}(?!\w)", re.IGNORECASE)
BIRTH = ("born", "birth", "dob", "d.o.b", "geboren", "geb.", "né le", "née le", "naci", "nato il", "nata il", "urodz")
VERSIONS = ("version", "release", "build", "firmware", "section", "chapter", "§")
AFTER, BEFORE = 24, 48
"""How far words count that stand beside a number."""
WIDEST = 9
"""The most groups of digits that one number has."""
FEWEST, MOST = 7, 19
"""Digits of what is looked at."""


@final
@dataclass(frozen=True, slots=True)
class Run:
    """Groups of digits with little between them, and the text they stand in."""

    text: str
    low: str
    """The text in small letters, of the same length."""
    groups: Sequence[tuple[int, int]]

    def beside(self, first: int, last: int) -> str:
        """The words around some groups, in small letters."""
        start, end = self.groups[first][0], self.groups[last][1]
        return f"{self.low[max(0, start - BEFORE) : start]} {self.low[end : end + AFTER]}"

    def gaps(self, first: int, last: int) -> list[str]:
        """What stands between some groups."""
        pairs = zip(self.groups[first:last], self.groups[first + 1 : last + 1], strict=True)
        return [self.text[one[1] : other[0]] for one, other in pairs]

    def shape(self, first: int, last: int) -> str:
        """How many digits each group has, with what stands between: `3-2-4`."""
        lengths = [str(end - start) for start, end in self.groups[first : last + 1]]
        return "".join(map("".join, zip(lengths, [*self.gaps(first, last), ""], strict=True)))

    def digits(self, first: int, last: int) -> str:
        return "".join(self.text[start:end] for start, end in self.groups[first : last + 1])


def numbers(text: str, low: str) -> Iterator[Span]:
    """What runs of digits stand for; `low` is the text in small letters."""
    done = 0
    for found in RUN.finditer(text):
        start, end = found.span()
        if start < done:
            start = done
            if end - start < FEWEST:
                continue
        code = _code(text, low, start, end)
        if code:
            done = code.end
            yield code
        elif end - start >= FEWEST:
            yield from _of_run(Run(text, low, [each.span() for each in GROUP.finditer(text, start, end)]))


def _code(text: str, low: str, start: int, end: int) -> Span | None:
    """A code of letters and digits that these digits belong to: the letters may stand before or behind."""
    first = start + (text[start] in "+(")
    token = first
    while token > 0 and first - token < 18 and text[token - 1].isalnum():
        token -= 1
    spaced = first > 2 and text[first - 1] == " " and text[first - 3 : first - 1].isalpha()
    spaced = spaced and not text[first - 4 : first - 3].isalnum()
    behind = text[end : end + 1].isalpha() or text[end : end + 1] in ("-", "(", "+")
    if not (token < first or spaced or behind or end - start > MOST - 2):
        return None
    around = f"{low[max(0, token - BEFORE) : token]} {low[end : end + AFTER]}"
    place = token
    if spaced:
        place = first - 3
    elif token >= 2 and text[token - 1] == "-" and text[token - 2] in "XYZ":
        place = token - 2
    return code_at(text, place, around) or (code_at(text, token, around) if place != token else None)


def _of_run(run: Run) -> Iterator[Span]:
    taken = 0
    count = len(run.groups)
    lengths = [end - start for start, end in run.groups]
    if max(lengths) < 2:
        return  # single digits, one after the other: no number of anything is written so
    while taken < count:
        found = _birth_or_date(run, taken)
        if found:
            width, span = found
            if span:
                yield span
            taken += width
            continue
        for last in range(min(count, taken + WIDEST) - 1, taken - 1, -1):
            total = sum(lengths[taken : last + 1])
            if (FEWEST <= total <= MOST or last == taken + 3) and (span := _judge(run, taken, last)):
                yield span
                taken = last
                break
        taken += 1


def _judge(run: Run, first: int, last: int) -> Span | None:
    """What some groups together stand for."""
    text, (start, end) = run.text, (run.groups[first][0], run.groups[last][1])
    if not _stands_alone(text, start, end):
        return None
    digits, shape, beside = run.digits(first, last), run.shape(first, last), run.beside(first, last)
    if last == first + 3 and (address := _ip(run, first, last, beside)):
        return address
    if len(digits) < FEWEST:
        return None
    if text[start - 1 : start] != "+":
        if score := card(digits, shape, beside):
            return Span(start, end, Type.CARD, score)
        score, detail = national_id(digits, shape, beside)
        if score:
            return Span(start, end, Type.NATIONAL_ID, score, detail)
    opened = start - (start > 0 and text[start - 1] in "+(")
    if text[opened:start] == "(" and opened and text[opened - 1] == "+":
        opened -= 1
    around = run.low[max(0, start - BEFORE) : start], run.low[end : end + AFTER]
    score = phone(digits, text[opened:start] + shape, around)
    extension = EXTENSION.match(text, end)
    return Span(opened, extension.end() if extension else end, Type.PHONE, score) if score else None


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether digits are no part of a word, of a longer code or of an amount."""
    before, behind = text[start - 1 : start] if start else "", text[end : end + 1]
    if EXTENSION.match(text, end):
        behind = ""
    if before.isalnum() or behind.isalnum() or "_" in (before, behind) or before in ("$", "€", "£"):
        return False
    ahead, beyond = text[start - 2 : start - 1] if start > 1 else "", text[end + 1 : end + 2]
    if (before == "." and ahead.isdigit()) or (before == "-" and ahead.isalnum()):
        return False
    if behind in (".", ","):
        return not beyond.isdigit()
    return not (behind == "-" and beyond.isalnum()) or bool(WORD.match(text, end + 1))


def _ip(run: Run, first: int, last: int, beside: str) -> Span | None:
    """An IPv4 address that may be somebody's; `1.2.3.4` may be a version too."""
    parts = [run.text[start:end] for start, end in run.groups[first : last + 1]]
    if run.gaps(first, last) != ["."] * 3 or any(len(part) > 3 or int(part) > 255 for part in parts):
        return None
    if any(len(part) > 1 and part[0] == "0" for part in parts) or parts[0] in ("0", "127", "255"):
        return None
    start, end = run.groups[first][0], run.groups[last][1]
    if any(word in beside[:BEFORE] for word in VERSIONS) and " ip" not in beside:
        return None
    return Span(start, end, Type.IP, 0.9 if max(map(len, parts)) > 1 else 0.6, "ipv4")


def _birth_or_date(run: Run, first: int) -> tuple[int, Span | None] | None:
    """Where three groups are a date: how many they are, and the span where it is one of birth."""
    if len(run.groups) < first + 3:
        return None
    gaps = run.gaps(first, first + 2)
    if gaps[0] != gaps[1] or gaps[0] not in ("-", "/", ".", " "):
        return None
    parts = [run.text[start:end] for start, end in run.groups[first : first + 3]]
    if not _is_date(parts):
        return None
    start, end = run.groups[first][0], run.groups[first + 2][1]
    if gaps[0] == " " and not any(word in run.low[max(0, start - BEFORE) : start] for word in BIRTH):
        return None
    if any(word in run.low[max(0, start - BEFORE) : start] for word in BIRTH):
        return 3, Span(start, end, Type.BIRTH_DATE, 0.9)
    more = run.text[end : end + 1]
    return (3, None) if more != gaps[0] else None


def _is_date(parts: Sequence[str]) -> bool:
    lengths = [len(part) for part in parts]
    if lengths[0] == 4 and max(lengths[1:]) <= 2:
        year, one, other = map(int, parts)
    elif lengths[2] in (2, 4) and max(lengths[:2]) <= 2:
        one, other, year = map(int, parts)
    else:
        return False
    known = 1850 <= year <= 2100 or year < 100
    return known and 1 <= min(one, other) <= 12 and max(one, other) <= 31
