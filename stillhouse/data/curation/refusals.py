"""Refusals: rows whose answer declines to answer, by a field of it or by how it opens, in twelve languages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import final

from stillhouse.data.curation.curated import Curated, again
from stillhouse.data.items import Item
from stillhouse.errors import UsageError

__all__ = ["Refusals", "refusal", "refusals"]

OPENING = 240
"""Characters of an answer in which a refusal is looked for: later ones are remarks within an answer."""


@final
@dataclass(frozen=True, slots=True)
class Refusals:
    """Settings of `refusals`."""

    longest: int = 600
    """An answer with more characters that opens as a refusal goes on to answer, and stays."""
    phrases: tuple[str, ...] = ()
    """Openings of your own, as regular expressions; case is of no matter."""

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise UsageError(f"longest = {self.longest} must be 1 or more.")
        for phrase in self.phrases:
            try:
                re.compile(phrase)
            except re.error as error:
                raise UsageError(f"phrases: {phrase!r} is no regular expression: {error}.") from error


def refusals(rows: Iterable[Item], settings: Refusals) -> Curated:
    """Drop rows whose answer is a refusal, saying by what it was known."""
    rows = again(rows)
    patterns = _compiled(settings.phrases)
    reasons: dict[int, str] = {}
    total = 0
    for number, item in enumerate(rows):
        total = number + 1
        known_by = refusal(item, patterns, settings.longest)
        if known_by:
            reasons[number] = f"refusal: {known_by}"
    return Curated("refusals", rows, total, reasons)


def refusal(item: Item, patterns: dict[str, re.Pattern[str]], longest: int) -> str:
    """By what an answer is known as a refusal: a field of it, or a language's openings; nothing where it is none."""
    answer = item.answer
    if answer is None:
        return ""
    if answer.get("refusal"):
        return "the field `refusal`"
    if "content_filter" in (answer.get("finish_reason"), item.facts.metadata.get("finish_reason")):
        return "ended by a content filter"
    words = item.words
    if not words or len(words) > longest or answer.get("tool_calls"):
        return ""
    opening = _plain(words[:OPENING])
    return next((f"opens so in {code}" for code, pattern in patterns.items() if pattern.search(opening)), "")


def _plain(text: str) -> str:
    """Lower case, one kind of apostrophe, single spaces, and no marks before the first word."""
    return re.sub(r"[^\S\n]+", " ", text.lower().replace("’", "'").replace("‘", "'")).lstrip(
        " \n\t\"'*_>#-–—:.!¡¿“”„«»「『"
    )


def _compiled(phrases: Iterable[str]) -> dict[str, re.Pattern[str]]:
    """The openings of each language as one expression; `refusals.toml` holds them."""
    told = tomllib.loads(files("stillhouse.data.curation").joinpath("refusals.toml").read_text(encoding="utf-8"))
    made: dict[str, re.Pattern[str]] = {}
    for code, given in told["openings"].items():
        one = "|".join(f"(?:{each})" for each in given)
        for name, meant in told["words"].items():
            one = one.replace(f"<{name}>", meant)
        made[code] = re.compile(one)
    own = "|".join(f"(?:{phrase})" for phrase in phrases)
    return made | ({"your phrases": re.compile(own, re.IGNORECASE)} if own else {})
