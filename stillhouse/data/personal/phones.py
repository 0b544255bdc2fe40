"""Phone numbers: international ones by their plus, national ones by how they are grouped or by the words before."""

from __future__ import annotations

import re

__all__ = ["phone"]

WORDS = (
    "phone",
    "tel",
    "call",
    "mobile",
    "cell",
    "fax",
    "whatsapp",
    "sms",
    "dial",
    "desk",
    "contact",
    "reach",
    "text me",
    "handy",
    "rufnummer",
    "móvil",
    "portable",
    "numéro de",
    "signal:",
    "voicemail",
    "hotline",
    "registered",
    "ring",
    "messages to",
)
OTHERS = (
    "order",
    "invoice",
    "ref",
    "ticket",
    "tracking",
    "sku",
    "isbn",
    "version",
    "serial",
    "article",
    "account",
    "id ",
)
KIND = re.compile(r"[ -]{0,2}\(?(?:office|fax|mobile|cell|desk|home|work|phone|tel|direct|handy|mobil)\b")
NORTH_AMERICA = re.compile(r"(?:1[ .-])?(?:3([-. ])3\1|\(3\) ?3[-. ]|\(3\)-3-|3 3-|3/3-)4")
GROUPED = re.compile(r"\(?\d{1,2}\)?(?:[ .\-/]{1,2}\d{1,2}\)?)+|\(\d\)[ -]?\d.*")


def phone(digits: str, shape: str, around: tuple[str, str]) -> float:
    """How sure it is that these digits are a phone number; 0: they are none. `shape` may begin with `+` or `(`."""
    before, behind = around
    told = any(word in before for word in WORDS) or bool(KIND.match(behind))
    other = not told and any(word in before[-24:] for word in OTHERS)
    if shape[0] == "+":
        return 0.9 if 8 <= len(digits) <= 15 and digits[0] != "0" else 0.0
    if other:
        return 0.0
    score = _grouped(digits, shape)
    if told and 7 <= len(digits) <= 13:
        return max(0.9 if score else 0.0, 0.75 if not shape.isdigit() else 0.6)
    return score


def _grouped(digits: str, shape: str) -> float:
    """How sure its groups alone make it."""
    last = digits[-10:]
    if NORTH_AMERICA.fullmatch(shape):
        known = last[0] in "23456789" and last[3] in "23456789"
        return (0.6 if " 3 " in shape else 0.75) if known else 0.0
    if not GROUPED.fullmatch(shape) or shape.isdigit():
        return 0.0
    if digits.startswith("00") and 10 <= len(digits) <= 15:
        return 0.7
    if digits[0] == "0" and 9 <= len(digits) <= 11:
        return 0.6
    return 0.6 if shape[0] == "(" and 7 <= len(digits) <= 11 else 0.0
