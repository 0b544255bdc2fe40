"""Curated: what one step did with rows: which it keeps, which it changes, which it drops and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, final

from stillhouse.data.items import Facts, Item

__all__ = ["Change", "Curated", "Step", "again", "reason_word", "tagged"]


@final
@dataclass(frozen=True, slots=True)
class Change:
    """What a step found out about an item that it keeps; what is empty stays as it was."""

    language: str | None = None
    tag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def of(self, facts: Facts) -> Facts:
        """The facts with what was found out."""
        return replace(
            facts,
            language=self.language or facts.language,
            tags=facts.tags if not self.tag or self.tag in facts.tags else (*facts.tags, self.tag),
            metadata={**facts.metadata, **self.metadata},
        )


@final
@dataclass(frozen=True, slots=True)
class Curated:
    """Every row is either kept or dropped with a reason; rows are read anew for each look, so that a million
    of them need not be held."""

    step: str
    rows: Iterable[Item]
    """As they came."""
    total: int
    reasons: Mapping[int, str]
    """Why a row is dropped, by its number from 0: a word, or a word, a colon and more."""
    changes: Mapping[int, Change] = field(default_factory=dict[int, Change])
    told: Mapping[str, int] = field(default_factory=dict[str, int])
    """What was seen besides: conflicts, rows that could not be judged, ..."""
    found: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What is worth showing of it: plain values."""

    @property
    def kept(self) -> Iterable[Item]:
        """The rows that go on, in their order, with what was found out about them; may be read again and again."""
        return _Kept(self)

    @property
    def dropped(self) -> Iterator[tuple[Item, str]]:
        """The rows that do not go on, in their order, each with its reason."""
        if self.reasons:
            for number, item in enumerate(self.rows):
                if number in self.reasons:
                    yield item, self.reasons[number]

    @property
    def changed(self) -> int:
        """How many of the kept rows something was found out about."""
        return sum(number not in self.reasons for number in self.changes)

    @property
    def counts(self) -> dict[str, int]:
        """Rows in all, kept and changed, dropped by the word of the reason, and what was seen besides."""
        words = Counter(map(reason_word, self.reasons.values()))
        head = {"rows": self.total, "kept": self.total - len(self.reasons), "changed": self.changed}
        return {**head, **dict(sorted(words.items())), **self.told}


class Step(Protocol):
    """One way to curate: a pure function of rows and its settings."""

    def __call__(self, rows: Iterable[Item], settings: Any, /) -> Curated: ...


@final
class _Kept:
    """The rows that a step keeps."""

    def __init__(self, curated: Curated) -> None:
        self._curated = curated

    def __iter__(self) -> Iterator[Item]:
        reasons, changes = self._curated.reasons, self._curated.changes
        for number, item in enumerate(self._curated.rows):
            if number not in reasons:
                change = changes.get(number)
                yield item if change is None else replace(item, facts=change.of(item.facts))


def again(rows: Iterable[Item]) -> Iterable[Item]:
    """Rows that can be read more than once: as they are, or an iterator's taken into memory."""
    return tuple(rows) if iter(rows) is rows else rows


def reason_word(reason: str) -> str:
    """The word of a reason, by which dropped rows are counted and brought back."""
    return reason.split(":", 1)[0]


def tagged(item: Item, tag: str) -> bool:
    """Whether a step left this tag at an item."""
    return tag in item.facts.tags
