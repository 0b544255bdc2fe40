"""Payment cards: the first digits of each network, its lengths, and Luhn's check."""

from __future__ import annotations

import re

from stillhouse.data.personal.checksums import luhn

__all__ = ["card"]

NETWORKS = (
    (4, 4, (13, 16, 19), "visa"),
    (51, 55, (16,), "mastercard"),
    (2221, 2720, (16,), "mastercard"),
    (34, 34, (15,), "amex"),
    (37, 37, (15,), "amex"),
    (6011, 6011, (16, 17, 18, 19), "discover"),
    (644, 659, (16, 17, 18, 19), "discover"),
    (300, 305, (14, 16), "diners"),
    (36, 36, (14, 16), "diners"),
    (38, 39, (14, 16), "diners"),
    (3528, 3589, (16, 17, 18, 19), "jcb"),
    (2131, 2131, (15,), "jcb"),
    (1800, 1800, (15,), "jcb"),
    (62, 62, (16, 17, 18, 19), "unionpay"),
    (2200, 2204, (16, 17, 18, 19), "mir"),
)
"""First digits from, to, and how many digits there are in all; from the networks' published ranges of ISO/IEC 7812."""
BESIDE_A_WORD = (35, 50, 56, 57, 58, 60, 61, 63, 67, 68, 69)
"""First two digits of Maestro and others, with 12 to 19 in all: so wide a range is believed only beside a word."""
SHAPES = re.compile(r"\d+|4([ -])4\1[4-7](\1\d){0,2}|4([ -])6\3[45]")
WORDS = ("card", "credit", "debit", "visa", "master", "amex", "maestro", " cc ", "karte", "carte", "tarjeta", "carta")
SURE, BESIDE = 0.9, 0.97


def card(digits: str, shape: str, beside: str) -> float:
    """How sure it is that these digits are the number of a card; 0: they are none."""
    if not (12 <= len(digits) <= 19 and SHAPES.fullmatch(shape) and luhn(digits)) or len(set(digits)) < 2:
        return 0.0
    told = any(word in beside for word in WORDS)
    for first, last, lengths, _ in NETWORKS:
        if len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last:
            return BESIDE if told else SURE
    return BESIDE - 0.07 if told and int(digits[:2]) in BESIDE_A_WORD else 0.0
