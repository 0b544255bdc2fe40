"""Lengths: rows whose question or answer is shorter or longer than what is worth learning from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import final

from tokenizers import Tokenizer

from stillhouse.data.curation.curated import Curated, again
from stillhouse.data.curation.said import asked
from stillhouse.data.items import Item
from stillhouse.errors import UsageError

__all__ = ["Lengths", "Unit", "lengths"]


class Unit(StrEnum):
    """What is counted."""

    CHARACTERS = "characters"
    WORDS = "words"
    TOKENS = "tokens"


@final
@dataclass(frozen=True, slots=True)
class Lengths:
    """Settings of `lengths`; 0 sets no bound. An answer that is not there, or calls tools without words, is not
    measured."""

    least_asked: int = 1
    most_asked: int = 100_000
    least_answer: int = 0
    most_answer: int = 100_000
    unit: Unit = Unit.CHARACTERS
    tokenizer: Path | None = None
    """The `tokenizer.json` that counts tokens."""

    def __post_init__(self) -> None:
        for name in ("asked", "answer"):
            least, most = getattr(self, f"least_{name}"), getattr(self, f"most_{name}")
            if least < 0 or most < 0 or (most and least > most):
                raise UsageError(f"least_{name} = {least} and most_{name} = {most} leave nothing: 0 sets no bound.")
        if (self.unit == Unit.TOKENS) != (self.tokenizer is not None):
            raise UsageError('unit = "tokens" and tokenizer = "PATH of a tokenizer.json" go together.')


def lengths(rows: Iterable[Item], settings: Lengths) -> Curated:
    """Drop rows that are too short or too long, saying how long they are."""
    rows = again(rows)
    measure = _measure(settings)
    reasons: dict[int, str] = {}
    total = 0
    for number, item in enumerate(rows):
        total = number + 1
        reason = _outside(measure(asked(item)), settings.least_asked, settings.most_asked) if not item.media else ""
        if reason:
            reasons[number] = f"{reason} {settings.unit} were asked"
        elif item.words:
            reason = _outside(measure(item.words), settings.least_answer, settings.most_answer)
            if reason:
                reasons[number] = f"{reason} {settings.unit} were answered"
    return Curated("lengths", rows, total, reasons)


def _outside(size: int, least: int, most: int) -> str:
    if size < least:
        return f"too-short: {size}"
    return f"too-long: {size}" if most and size > most else ""


def _measure(settings: Lengths) -> Callable[[str], int]:
    if settings.tokenizer is None:
        return len if settings.unit == Unit.CHARACTERS else lambda text: len(text.split())
    if not settings.tokenizer.is_file():
        raise UsageError(f"There is no tokenizer {settings.tokenizer}: name the `tokenizer.json` of a model.")
    try:
        tokenizer = Tokenizer.from_file(str(settings.tokenizer))
    except Exception as error:  # tokenizers raises nothing more exact
        raise UsageError(f"{settings.tokenizer} is no tokenizer: {error}.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
