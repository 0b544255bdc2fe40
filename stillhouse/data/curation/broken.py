"""Broken rows: empty, cut off, looping, no JSON where JSON is due, with damaged letters or left-over templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from stillhouse.data.curation.curated import Curated, again
from stillhouse.data.curation.flaws import cut_off, damaged, is_json, left_over, loops
from stillhouse.data.curation.said import asked, frame
from stillhouse.data.items import Item
from stillhouse.errors import UsageError

__all__ = ["Broken", "broken"]


@final
@dataclass(frozen=True, slots=True)
class Broken:
    """Settings of `broken`: what is looked for."""

    empty: bool = True
    """No words asked and no file, or an answer without words and without a call of a tool."""
    cut_off: bool = True
    """The answer was ended by a limit of tokens, or ends in the middle of a block of code."""
    repetition: bool = True
    """The answer ends in a loop, or says little but the same."""
    json: bool = True
    """The answer is no JSON where nearly all answers to the same instructions are; or a tool's arguments are none."""
    encoding: bool = True
    """Letters that were read by the wrong code, or lost."""
    templates: bool = True
    """Marks of chat templates in words, or blanks of a prompt that were not filled in."""
    json_share: float = 0.9
    """The share of answers to the same instructions that must be JSON before the others count as broken."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.json_share <= 1:
            raise UsageError(f"json_share = {self.json_share} must lie between 0.5 and 1.")


def broken(rows: Iterable[Item], settings: Broken) -> Curated:
    """Drop rows that nobody should learn from, each with the first flaw that was found."""
    rows = again(rows)
    strict = _strict(rows, settings.json_share) if settings.json else frozenset[int]()
    reasons: dict[int, str] = {}
    total = 0
    for number, item in enumerate(rows):
        total = number + 1
        reason = _question(item, settings) or _answer(item, settings, strict)
        if reason:
            reasons[number] = reason
    return Curated("broken", rows, total, reasons)


def _question(item: Item, settings: Broken) -> str:
    words = asked(item)
    if settings.empty and not words.strip() and not item.media and not _parts(item):
        return "empty: nothing was asked"
    if settings.encoding and (found := damaged(words)):
        return f"encoding: the question holds {found}"
    if settings.templates and (found := left_over(words, asked=True)):
        return f"template: the question holds {found}"
    return ""


def _parts(item: Item) -> bool:
    """Whether a message of the user holds more than text."""
    return any(isinstance(message.get("content"), list) for message in item.messages if message.get("role") == "user")


def _answer(item: Item, settings: Broken, strict: frozenset[int]) -> str:
    """The first flaw of an answer; nothing where there is none or no answer."""
    answer, words = item.answer, item.words
    if answer is None:
        return ""
    calls = answer.get("tool_calls") or ()
    if settings.json and any(not is_json(_arguments(call)) for call in calls):
        return "invalid-json: the arguments of a tool"
    if not words.strip():
        return "empty: nothing was answered" if settings.empty and not calls and not answer.get("refusal") else ""
    if settings.cut_off and (found := _limit(item) or cut_off(words)):
        return f"cut-off: {found}"
    if settings.json and not calls and strict and frame(item) in strict and not is_json(words):
        return "invalid-json: other answers to these instructions are JSON"
    if settings.repetition and (found := loops(words)):
        return f"repetition: {found}"
    if settings.encoding and (found := damaged(words)):
        return f"encoding: the answer holds {found}"
    if settings.templates and (found := left_over(words, asked=False)):
        return f"template: the answer holds {found}"
    return ""


def _arguments(call: Any) -> str:
    """The arguments of a call of a tool; nothing counts as no arguments."""
    try:
        said = call["function"]["arguments"]
    except (KeyError, TypeError):
        return "{}"
    return said if isinstance(said, str) and said.strip() else "{}"


def _limit(item: Item) -> str:
    """Whether a limit of tokens ended the answer, as far as that was written down."""
    told = ((item.answer or {}).get("finish_reason"), item.facts.metadata.get("finish_reason"))
    return "ended by a limit of tokens" if "length" in told or "max_tokens" in told else ""


def _strict(rows: Iterable[Item], share: float) -> frozenset[int]:
    """The instructions to which nearly all answers are JSON objects or lists."""
    answers: Counter[int] = Counter()
    good: Counter[int] = Counter()
    for item in rows:
        if item.answer is not None and item.words.strip():
            key = frame(item)
            answers[key] += 1
            good[key] += item.words.lstrip()[:1] in "{[" and is_json(item.words)
    return frozenset(key for key, count in answers.items() if good[key] >= max(share * count, 2) and good[key] < count)
