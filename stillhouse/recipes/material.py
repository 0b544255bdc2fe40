"""The rows of a run, read, grouped and split: what may be learnt from, and what only measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stillhouse.data.curate import distinct, duplicate_groups
from stillhouse.data.split import Split, split
from stillhouse.data.traffic import Traffic, load_traffic
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.training.lessons import Lessons, Part

__all__ = ["Material", "gather"]

MOST_LESSONS = 200_000
"""More rows than this teach a small student nothing new that is worth the hours."""
MOST_MEASURED = 20_000
"""Rows measured of each part: enough for intervals of a few tenths of a percent."""


@dataclass(frozen=True)
class Material:
    """A run's data: what may be learnt from, and the two parts that only the certificate sees."""

    traffic: Traffic
    holdout: Traffic | None
    split: Split
    lessons: Lessons
    calibration: Part
    test: Part

    @property
    def outside(self) -> int:
        """Rows whose answer is none that a student could give: not learnt from, a disagreement where it is measured."""
        return sum(traffic.counts.kept_misfits for traffic in (self.traffic, self.holdout) if traffic)

    @property
    def measured(self) -> dict[str, int]:
        """Rows of each part that measures: distinct calls, and no more of them than intervals need."""
        parts = {"selection": self.lessons.selection, "calibration": self.calibration, "test": self.test}
        return {name: len(part) for name, part in parts.items()}

    @property
    def bad(self) -> int:
        """Rows left out because they cannot be used."""
        return sum(traffic.counts.bad for traffic in (self.traffic, self.holdout) if traffic)


def gather(recipe: DistillRecipe, aside: Path) -> Material:
    """Read the traffic, find duplicates and split; bad rows go `aside` when they are to be skipped."""
    reading = recipe.reading
    traffic = load_traffic(
        recipe.traffic,
        skip_bad_rows=reading.skip_bad_rows,
        keep_aside=aside,
        keep_misfits=reading.skip_bad_rows,
        labels=reading.labels,
        fields=reading.fields,
    )
    holdout = None
    if recipe.holdout is not None:
        holdout = load_traffic(
            [recipe.holdout],
            skip_bad_rows=reading.skip_bad_rows,
            keep_aside=aside.with_name("holdout-" + aside.name),
            keep_misfits=True,
            forms=(traffic.prompt, traffic.answer),
        )
    texts, conversations = traffic.texts, traffic.conversations
    if holdout is not None:
        texts, conversations = texts + holdout.texts, conversations + holdout.conversations
    parts = split(traffic, duplicate_groups(texts, conversations), holdout=holdout, seed=recipe.seed)
    rows = np.concatenate([_some(parts.train, MOST_LESSONS, recipe.seed), parts.unlabelled[:MOST_LESSONS]])
    lessons = Lessons(
        train=_part(traffic, rows),
        selection=_measured(traffic, parts.selection, recipe.seed),
        sizes=tuple(len(field.labels) for field in traffic.answer.fields),
        soft={at: traffic.soft[row] for at, row in enumerate(rows.tolist()) if row in traffic.soft},
    )
    calibration = _measured(traffic, parts.calibration, recipe.seed)
    test = _measured(holdout or traffic, parts.test, recipe.seed)
    return Material(traffic, holdout, parts, lessons, calibration, test)


def _measured(traffic: Traffic, rows: npt.NDArray[np.int64], seed: int) -> Part:
    """Rows to measure on: a call that was recorded many times counts once, as repeats are not independent."""
    once = rows[distinct([traffic.texts[row] for row in rows])]
    return _part(traffic, _some(once, MOST_MEASURED, seed))


def _part(traffic: Traffic, rows: Sequence[int] | npt.NDArray[np.int64]) -> Part:
    chosen = np.asarray(rows, dtype=np.int64)
    return Part(
        [traffic.texts[row] for row in chosen],
        traffic.labels[chosen].astype(np.int64),
        traffic.truths[chosen].astype(np.int64),
    )


def _some(rows: npt.NDArray[np.int64], most: int, seed: int) -> npt.NDArray[np.int64]:
    """All rows, or `most` of them drawn by seed, in order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
