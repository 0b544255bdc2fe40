"""Strengths: which teacher is best at which kind of item, and the cheapest that is good enough for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import UsageError
from stillhouse.generation.ballots import Ballots

__all__ = ["Routes", "Strength", "route", "strengths"]

Floats = NDArray[np.float64]
OVERALL = 5.0
"""A teacher's accuracy on a kind counts as if it had answered so many items more, as well as it answers over all."""


@final
@dataclass(frozen=True)
class Strength:
    """How good one teacher is at one kind of item."""

    kind: str
    teacher: str
    asked: int
    right: float
    """How many answers are right, in expectation where the truth is not known."""
    accuracy: float
    """0..1, drawn towards what the teacher reaches over all kinds where there are few items."""


@final
@dataclass(frozen=True)
class Routes:
    """Who is asked about what."""

    by_kind: Mapping[str, str]
    otherwise: str
    """Who is asked about a kind that was never seen."""

    def teacher(self, kind: str) -> str:
        return self.by_kind.get(kind, self.otherwise)


def strengths(ballots: Ballots, shares: Floats, kinds: Sequence[str]) -> list[Strength]:
    """Every teacher at every kind of item that it answered, by kind and name.

    `shares` says how likely each label is for each item, float64 [items, labels]: 0 and 1 where the truth is known,
    else what Dawid-Skene found. An answer is right with the share of its label. With m answers of a teacher in a kind,
    r of them right, and a over all, its accuracy there is (r + 5 a) / (m + 5).
    """
    right = shares[ballots.item, ballots.label]
    names = sorted(set(kinds))
    place = {kind: at for at, kind in enumerate(names)}
    kind = np.asarray([place[each] for each in kinds], np.int64)[ballots.item]
    people = len(ballots.annotators)
    cell = kind * people + ballots.annotator
    size = len(names) * people
    asked = np.bincount(cell, minlength=size).reshape(-1, people)
    hits = np.bincount(cell, right, minlength=size).astype(np.float64).reshape(-1, people)
    overall = (hits.sum(axis=0) + 1.0) / (asked.sum(axis=0) + 2.0)
    accuracy = (hits + OVERALL * overall) / (asked + OVERALL)
    return [
        Strength(each, teacher, int(asked[at, who]), float(hits[at, who]), float(accuracy[at, who]))
        for at, each in enumerate(names)
        for who, teacher in enumerate(ballots.annotators)
        if asked[at, who]
    ]


def route(measured: Sequence[Strength], prices: Mapping[str, float], margin: float = 0.0) -> Routes:
    """For each kind the cheapest teacher whose accuracy is at most `margin` below the best one's there.

    Of equal prices the more accurate one, of equal accuracy the first by name. A kind that was never seen goes to who
    is chosen so over all kinds together. A teacher without a price is a UsageError.
    """
    unknown = sorted({one.teacher for one in measured} - set(prices))
    if unknown or not measured:
        missing = f"What does {unknown[0]!r} cost" if unknown else "Nobody was measured: what is there to route by"
        raise UsageError(f"{missing}? Prices are needed for every teacher, 0 for one that costs nothing.")
    kinds = sorted({one.kind for one in measured})
    by_kind = {kind: _pick([one for one in measured if one.kind == kind], prices, margin) for kind in kinds}
    return Routes(by_kind, _pick(_together(measured), prices, margin))


def _pick(among: Sequence[Strength], prices: Mapping[str, float], margin: float) -> str:
    best = max(one.accuracy for one in among)
    enough = [one for one in among if one.accuracy >= best - margin]
    return min(enough, key=lambda one: (prices[one.teacher], -one.accuracy, one.teacher)).teacher


def _together(measured: Sequence[Strength]) -> list[Strength]:
    """Each teacher over all kinds."""
    found: list[Strength] = []
    for teacher in sorted({one.teacher for one in measured}):
        own = [one for one in measured if one.teacher == teacher]
        asked, right = sum(one.asked for one in own), sum(one.right for one in own)
        found.append(Strength("", teacher, asked, right, (right + 1.0) / (asked + 2.0)))
    return found
