"""What only the words beside it tell: dates of birth in words, passports, driving licences, number plates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from stillhouse.data.personal.span import Span, Type

__all__ = ["by_context"]

MONTHS = (
    "jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?|"
    "sep(?:t|tember)?|oct(?:ober)?|okt(?:ober)?|nov(?:ember)?|dec(?:ember)?|dez(?:ember)?|janvier|février|mars|avril|"
    "juin|juillet|août|septembre|octobre|novembre|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|"
    "septiembre|octubre|noviembre|diciembre"
)
DATE = (
    rf"(?:\d{{1,2}}(?:st|nd|rd|th|\.)?(?: of| de)? (?:{MONTHS})\.?,?(?: de)? \d{{4}}|"
    rf"(?:{MONTHS})\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}})"
)
IS = (
    r"(?:(?: ?(?:no|nr|num|number|nummer|numéro|número|id)\b\.?)?"
    r"(?: ?(?:is|was|ist|est|es|:|#|-|=)){0,3}['\" \n]{1,3}#?)"
)


@final
@dataclass(frozen=True, slots=True)
class Cue:
    """Words, and what stands behind them."""

    type: Type
    words: tuple[str, ...]
    """Of which one must be in the text at all."""
    look: re.Pattern[str]
    score: float


CUES = (
    Cue(
        Type.BIRTH_DATE,
        ("born", "birth", "dob", "d.o.b", "geboren", "geburts", "née", "né le", "naiss", "naci", "nato il", "nata il"),
        re.compile(
            r"(?:\bborn|birth(?:day|date)?|\bdob|d\.o\.b\.?|geboren|geburtsdatum|\bnée?|naissance|nacid[oa]|nacimiento|"
            rf"nat[oa] il)\b[^\d.!?]{{0,24}}?(?P<found>{DATE})"
        ),
        0.9,
    ),
    Cue(
        Type.PASSPORT,
        ("passport", "pasaporte", "passeport", "reisepass"),
        re.compile(rf"(?:passports?|pasaporte|passeport|reisepass){IS}(?P<found>[a-z]{{0,3}}\d{{6,9}}[a-z]?)\b"),
        0.9,
    ),
    Cue(
        Type.DRIVER_LICENSE,
        ("licen", "führerschein", "permis de conduire"),
        re.compile(
            r"(?:driv(?:er|ing|er'?s|ers)['’]?s? licen[cs]e|führerschein|permis de conduire|\bdl|licen[cs]e)"
            rf"(?! plate){IS}"
            r"(?P<found>(?=(?:[a-z -]{0,56}+\d){5})[a-z0-9]{1,5}(?:[ -]?[a-z0-9]{2,16}){0,3})\b"
        ),
        0.85,
    ),
    Cue(
        Type.PLATE,
        ("plate", "kennzeichen", "registration", "immatriculation", "matrícula", "reg "),
        re.compile(
            r"(?:(?:licen[cs]e|number|registration) plates?|kennzeichen|vehicle registration|immatriculation|"
            rf"matrícula|car reg(?:istration)?){IS}"
            r"(?P<found>(?=[a-z -]{0,24}+\d)[a-z0-9äöü]{1,4}(?:[ -]?[a-z0-9]{1,5}){0,3})\b"
        ),
        0.8,
    ),
)


def by_context(text: str, low: str) -> Iterator[Span]:
    """What words give away; `low` is the text in small letters, of the same length."""
    for cue in CUES:
        if any(word in low for word in cue.words):
            for found in cue.look.finditer(low):
                start, end = found.span("found")
                end = _without_words(text, start, end, cue.type)
                if end - start > 3:
                    yield Span(start, end, cue.type, cue.score)


def _without_words(text: str, start: int, end: int, kind: Type) -> int:
    """The end of a code that ran on into words: everything behind its last digit or capital letter is none of it."""
    if kind is Type.BIRTH_DATE:
        return end
    while end > start and not (text[end - 1].isdigit() or (text[end - 1].isupper() and text[end - 2].isupper())):
        if text[end - 1].isalpha() and text[end - 2].isdigit():
            break
        end -= 1
    return end
