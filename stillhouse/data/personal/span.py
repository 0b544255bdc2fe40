"""Span: a piece of a text that is personal or secret, of which kind and how sure; and what may become of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import final

__all__ = ["How", "Span", "Type", "apart"]


class Type(StrEnum):
    """What kind of personal data or secret a piece of text is."""

    PERSON = "person"
    ORGANIZATION = "organization"
    LOCATION = "location"
    ADDRESS = "address"
    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    NATIONAL_ID = "national_id"
    BIRTH_DATE = "birth_date"
    PASSPORT = "passport"
    DRIVER_LICENSE = "driver_license"
    PLATE = "plate"
    IP = "ip"
    MAC = "mac"
    URL_CREDENTIALS = "url_credentials"
    SECRET = "secret"


class How(StrEnum):
    """What becomes of personal data."""

    REDACT = "redact"
    """The kind alone: `[EMAIL]`."""
    PSEUDONYMISE = "pseudonymise"
    """Something of the same kind that belongs to nobody; the same for the same value, by a key."""
    HASH = "hash"
    """The kind and a keyed hash: `[EMAIL:5f0c8a2be1d3]`; equal values stay equal and cannot be read."""
    VAULT = "vault"
    """The kind and the value, encrypted: `[EMAIL#...]`; whoever has the key can read it again."""


@final
@dataclass(frozen=True, slots=True)
class Span:
    """Where it lies: `text[start:end]`."""

    start: int
    end: int
    type: Type
    score: float
    """0..1: 1 is certain; checksums and prefixes say more than a look."""
    detail: str = ""
    """Which of several forms: `us_ssn`, `aws_access_key`."""


def _by_score(span: Span) -> tuple[float, int, int]:
    """The surest first."""
    return -span.score, span.start - span.end, span.start


def _by_length(span: Span) -> tuple[int, float, int]:
    """The longest first."""
    return span.start - span.end, -span.score, span.start


def apart(spans: Iterable[Span], longest: bool = False) -> list[Span]:
    """Spans in their order, none of which overlap: the surer one stays, of equally sure ones the longer.

    With `longest` the longer one stays, of equally long ones the surer.
    """
    kept: list[Span] = []
    starts: list[int] = []
    for span in sorted(spans, key=_by_length if longest else _by_score):
        place = bisect_right(starts, span.start)
        if (not place or kept[place - 1].end <= span.start) and (place == len(kept) or span.end <= starts[place]):
            kept.insert(place, span)
            starts.insert(place, span.start)
    return kept
