"""Coverage: the scenarios that rows are about, which of them are thin or doubtful, and what to collect next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curation.clusters import centres_of, distinctive_words, nearest
from stillhouse.data.curation.curated import Change, Curated, again, tagged
from stillhouse.data.curation.duplicates import CONFLICT
from stillhouse.data.curation.label_errors import SUSPECT
from stillhouse.data.curation.said import asked, label_of
from stillhouse.data.curation.vectors import Vectors, hashed_vectors
from stillhouse.data.items import Item
from stillhouse.errors import UsageError

__all__ = ["CLUSTER", "Coverage", "Scenario", "coverage"]

CLUSTER = "cluster"
"""What a row's metadata call its scenario."""
LEARNT_FROM = 50_000
"""Rows at most that scenarios are found with; the others join the nearest."""
AT_ONCE = 10_000
LONGEST_EXAMPLE = 120
LABELS = 10
"""Labels that are told of a scenario."""
MOST_CLUSTERS = 50
LOW_GRADE = 0.1
"""How far below the mean of all rows the grade of a scenario must lie."""
DOUBTFUL = 0.1
"""The share of rows with doubtful labels from which on a scenario may be named for them."""
UNSURE = 0.6
"""A teacher who held no label likelier than this was in doubt."""


@final
@dataclass(frozen=True, slots=True)
class Coverage:
    """Settings of `coverage`."""

    clusters: int = 0
    """How many scenarios; 0: a third of the square root of the number of rows, from 2 to 50."""
    enough: int = 0
    """Rows from which on a scenario is covered; 0: half of what the middle one has."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.clusters <= 1_000:
            raise UsageError(f"clusters = {self.clusters} must lie between 1 and 1000, or be 0 to be chosen.")
        if self.enough < 0:
            raise UsageError(f"enough = {self.enough} must be 0 or more.")


@final
@dataclass(slots=True)
class Scenario:
    """What is known of one cluster of rows."""

    name: str
    """The words that set it apart."""
    rows: int = 0
    wanted: int = 0
    """Rows of the traffic that it was compared with."""
    unanswered: int = 0
    doubtful: int = 0
    """Rows whose labels disagree, are suspected, or of which the teacher was unsure."""
    grades: list[float] = field(default_factory=list[float])
    labels: Counter[str] = field(default_factory=Counter[str])
    example: str = ""
    """The row nearest to its centre."""
    close: float = -1.0

    @property
    def grade(self) -> float | None:
        return sum(self.grades) / len(self.grades) if self.grades else None


def coverage(
    rows: Iterable[Item], settings: Coverage, vectors: Vectors | None = None, traffic: Iterable[Item] = ()
) -> Curated:
    """Write the scenario of each row into its metadata, and say where more rows are worth most.

    Scenarios are clusters of `vectors` (hashed words where none are given), of these rows and of `traffic`, the calls
    that they are to stand for. A scenario is a gap where it has few rows, less than half of its share of the
    traffic, doubtful labels twice as often as all, low grades, or rows without answers. Nothing is dropped.
    """
    rows, traffic = again(rows), again(traffic)
    total = sum(1 for _ in rows)
    sample = _sample(rows, total) + _sample(traffic, sum(1 for _ in traffic))
    make = vectors or hashed_vectors(sample)
    count = settings.clusters or min(max(round(math.sqrt(total) / 3), 2), MOST_CLUSTERS)
    made = make(sample) if sample else np.zeros((0, 1), np.float32)
    centres = centres_of(made, count, settings.seed)
    of = nearest(made, centres)
    centres = centres[np.argsort(-np.bincount(of[of >= 0], minlength=len(centres)), kind="stable")[: len(centres)]]
    scenarios = [
        Scenario(name or "no words") for name in distinctive_words(sample, nearest(made, centres), len(centres))
    ]
    changes: dict[int, Change] = {}
    for number, (item, (place, close)) in enumerate(zip(rows, _assign(rows, make, centres), strict=True)):
        if place >= 0:
            _note(scenarios[place], item, close)
            changes[number] = Change(metadata={CLUSTER: scenarios[place].name})
    for item, (place, close) in zip(traffic, _assign(traffic, make, centres), strict=True):
        if place >= 0:
            scenarios[place].wanted += 1
            _exemplify(scenarios[place], item, close)
    gaps = _gaps([each for each in scenarios if each.rows or each.wanted], settings)
    shown = [_shown(each) for each in scenarios]
    told = {"scenarios": len(scenarios), "gaps": len(gaps), "rows without a scenario": total - len(changes)}
    return Curated("coverage", rows, total, {}, changes, told, {"scenarios": shown, "gaps": gaps})


def _sample(rows: Iterable[Item], total: int) -> list[str]:
    """The texts of every so many rows."""
    step = max(math.ceil(total / LEARNT_FROM), 1)
    return [asked(item) for item in islice(rows, 0, None, step)]


def _assign(rows: Iterable[Item], make: Vectors, centres: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
    """The scenario of each row and how near it is to its centre; -1 where a row's words say nothing."""
    waiting: list[str] = []

    def judged() -> Iterator[tuple[int, float]]:
        made = make(waiting)
        places = nearest(made, centres)
        close = (made * centres[places]).sum(axis=1) if len(centres) else np.zeros(len(made))
        yield from zip(places.tolist(), close.tolist(), strict=True)

    for item in rows:
        waiting.append(asked(item))
        if len(waiting) == AT_ONCE:
            yield from judged()
            waiting.clear()
    if waiting:
        yield from judged()


def _exemplify(scenario: Scenario, item: Item, close: float) -> None:
    """Remember the row that is nearest to the centre of its scenario."""
    if close > scenario.close:
        scenario.close, scenario.example = close, " ".join(asked(item).split())[:LONGEST_EXAMPLE]


def _note(scenario: Scenario, item: Item, close: float) -> None:
    """Count a row in its scenario."""
    scenario.rows += 1
    _exemplify(scenario, item, close)
    label = label_of(item)
    if label is not None:
        scenario.labels[label] += 1
    scenario.unanswered += label is None and item.answer is None
    differs = item.label is not None and item.truth is not None and item.label != item.truth
    unsure = bool(item.soft) and max(item.soft.values()) < UNSURE
    scenario.doubtful += differs or unsure or tagged(item, CONFLICT) or tagged(item, SUSPECT)
    if item.facts.grade is not None:
        scenario.grades.append(item.facts.grade)


def _shown(scenario: Scenario) -> dict[str, object]:
    """A scenario as plain values."""
    return {
        "name": scenario.name,
        "rows": scenario.rows,
        "wanted": scenario.wanted,
        "unanswered": scenario.unanswered,
        "doubtful": scenario.doubtful,
        "grade": scenario.grade,
        "labels": dict(scenario.labels.most_common(LABELS)),
        "example": scenario.example,
    }


def _gaps(scenarios: Sequence[Scenario], settings: Coverage) -> list[dict[str, object]]:
    """Where more rows, or another look, are worth most: what is wrong and what to do, most rows first."""
    sizes = [each.rows for each in scenarios]
    enough = settings.enough or max(round(float(np.median(sizes)) / 2), 1) if sizes else 0
    rows, wanted = max(sum(sizes), 1), sum(each.wanted for each in scenarios)
    doubt = sum(each.doubtful for each in scenarios) / rows
    grades = [grade for each in scenarios for grade in each.grades]
    mean = sum(grades) / len(grades) if grades else 0.0
    found: list[dict[str, object]] = []
    for each in scenarios:
        share = round(rows * each.wanted / wanted) if wanted else 0
        if each.rows < max(enough, share / 2):
            why = f"{each.rows} rows" + (f", and {each.wanted / wanted:.1%} of the traffic" if wanted else "")
            found.append(_gap(each, why, "collect", max(enough, share) - each.rows))
        if each.doubtful >= max(DOUBTFUL, 2 * doubt) * max(each.rows, 1):
            why = f"labels of {each.doubtful} of {each.rows} rows are in doubt"
            found.append(_gap(each, why, "review or label again", each.doubtful))
        if each.grade is not None and each.grade <= mean - LOW_GRADE:
            why = f"mean grade {each.grade:.2f}; of all rows {mean:.2f}"
            found.append(_gap(each, why, "ask a better teacher for", len(each.grades)))
        if each.unanswered:
            found.append(_gap(each, f"{each.unanswered} rows have no answer", "label", each.unanswered))
    return sorted(found, key=lambda gap: (-int(str(gap["rows"])), str(gap["scenario"]), str(gap["do"])))


def _gap(scenario: Scenario, why: str, what: str, rows: int) -> dict[str, object]:
    return {"scenario": scenario.name, "why": why, "do": what, "rows": rows, "example": scenario.example}
