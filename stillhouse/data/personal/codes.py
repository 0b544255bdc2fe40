"""Codes of letters and digits that stand for a person or an account: IBAN, tax codes, insurance numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from stillhouse.data.personal.checksums import mod_97, weighted
from stillhouse.data.personal.span import Span, Type

__all__ = ["IBAN_LENGTHS", "code_at"]

IBAN_LENGTHS: Mapping[str, int] = {
    country: int(length)
    for length, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FO GL NL SD FK",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU XK MN",
        "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ DZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "FR GR IT MC MR SM BI DJ",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for country in countries.split()
}
"""Letters and digits of an IBAN by country, from SWIFT's registry."""
IBAN = re.compile(r"[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])")
LETTERS_OF_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)
"""What a letter counts at odd places of a codice fiscale."""


def _dni(code: str) -> bool:
    number = code[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return LETTERS_OF_DNI[int(number) % 23] == code[-1]


def _codice_fiscale(code: str) -> bool:
    total = sum(ODD[letter] for letter in code[:15:2])
    total += sum(int(letter, 36) - (0 if letter.isdigit() else 10) for letter in code[1:15:2])
    return chr(ord("A") + total % 26) == code[15]


def _curp(code: str) -> bool:
    letters = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    total = sum((18 - place) * letters.index(letter) for place, letter in enumerate(code[:17]))
    return (10 - total % 10) % 10 == int(code[17])


def _hetu(code: str) -> bool:
    month, day = int(code[2:4]), int(code[:2])
    number = int(code[:6] + code[7:10])
    return 1 <= month <= 12 and 1 <= day <= 31 and "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == code[10]


def _nric(code: str) -> bool:
    rest = weighted(code[1:8], (2, 7, 6, 5, 4, 3, 2), 11)
    shift = {"S": 0, "F": 0, "T": 4, "G": 4, "M": 3}[code[0]]
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}
    return letters[code[0]][(rest + shift) % 11] == code[8]


def _hong_kong(code: str) -> bool:
    body = code.rstrip(")").replace("(", "")
    values = [36] * (9 - len(body)) + [int(letter, 36) for letter in body[:-1]]
    total = sum((9 - place) * value for place, value in enumerate(values))
    return (-total) % 11 == int(body[-1], 11)


def _nino(code: str) -> bool:
    return code[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _pps(code: str) -> bool:
    extra = 9 * (ord(code[8]) - 64) if len(code) == 9 and code[8] != "W" else 0
    return "WABCDEFGHIJKLMNOPQRSTUV"[(weighted(code[:7], range(8, 1, -1), 23) + extra) % 23] == code[7]


def _resident(code: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return code[6:8] in ("19", "20") and (weighted(code[:17], weights, 11) + 10) % 11 == 1


def _pan(code: str) -> bool:
    return code[3] == "P"  # the fourth letter says whose it is, and P is a person


@final
@dataclass(frozen=True, slots=True)
class Form:
    """How one code looks, and what makes it valid; spaces and hyphens are taken out before."""

    detail: str
    look: re.Pattern[str]
    valid: Callable[[str], bool]
    score: float
    words: tuple[str, ...]


def _form(detail: str, look: str, valid: Callable[[str], bool], score: float, *words: str) -> Form:
    return Form(detail, re.compile(f"(?:{look})(?![A-Za-z0-9])"), valid, score, words)


FORMS = (
    _form("it_codice_fiscale", r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]", _codice_fiscale, 1.0),
    _form("uk_nino", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]", _nino, 0.85),
    _form("es_dni", r"\d{8}-?[A-HJ-NP-TV-Z]", _dni, 0.75),
    _form("es_nie", r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", _dni, 0.85),
    _form("mx_curp", r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[0-9A-Z]\d", _curp, 0.98),
    _form("fi_hetu", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _hetu, 0.9),
    _form("sg_nric", r"[STFGM]\d{7}[A-Z]", _nric, 0.8),
    _form("hk_id", r"[A-Z]{1,2}\d{6}\([\dA]\)", _hong_kong, 0.85),
    _form("cn_resident", r"\d{17}X", _resident, 0.95),
    _form("in_pan", r"[A-Z]{3}P[A-Z]\d{4}[A-Z]", _pan, 0.6, "pan"),
    _form("ie_pps", r"\d{7}[A-W][A-IW]?", _pps, 0.3, "pps"),
)
BESIDE = 0.95


def code_at(text: str, start: int, beside: str) -> Span | None:
    """The code that begins at a place; `beside` is what surrounds it, in small letters."""
    found = IBAN.match(text, start)
    if found and (iban := _iban(found)):
        return iban
    for form in FORMS:
        matched = form.look.match(text, start)
        if matched and form.valid(_bare(matched.group(), form)):
            told = any(word in beside for word in form.words)
            return Span(start, matched.end(), Type.NATIONAL_ID, BESIDE if told else form.score, form.detail)
    return None


def _bare(code: str, form: Form) -> str:
    return code if form.detail == "fi_hetu" else code.replace(" ", "").replace("-", "")


def _iban(found: re.Match[str]) -> Span | None:
    """The IBAN in what looks like one and may run on into the words behind it."""
    text, length = found.group(), IBAN_LENGTHS.get(found.group()[:2].upper(), 0)
    taken = 0
    for place, letter in enumerate(text):
        taken += letter != " "
        if taken == length:
            code, rest = text[: place + 1].replace(" ", ""), text[place + 1 : place + 2]
            if rest in ("", " ") and mod_97(code.upper()):
                return Span(found.start(), found.start() + place + 1, Type.IBAN, 1.0, code[:2].lower())
            return None
    return None
