"""Two runs of one eval, row against row: how often each passes, what changed, and how sure we are of the difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stillhouse.bundle.certificate import PairedStatement
from stillhouse.errors import CannotCertify
from stillhouse.evaluation.answers import Floats
from stillhouse.evaluation.paired import compare_paired

__all__ = ["Outcome", "RunComparison", "ScoreDifference", "compare_runs", "mean_difference"]

RESAMPLES = 10_000
AT_ONCE = 2_000_000
"""Numbers drawn at a time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row in a run: whether it passed, None where it errored, and the scores by criterion."""

    passed: bool | None
    scores: Mapping[str, float]
    """Without those of criteria that could not tell."""


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """Mean scores of one criterion on the rows that both runs have, the second minus the first, and its interval."""

    first: float
    second: float
    difference: float
    interval: tuple[float, float]
    rows: int
    method: str = "percentile bootstrap of paired rows, 10,000 resamples, two-sided"


@dataclass(frozen=True, slots=True)
class RunComparison:
    """The second run against the first."""

    passing: PairedStatement
    """`student_accuracy` is the second run's share of passed rows, `teacher_accuracy` the first's."""
    scores: Mapping[str, ScoreDifference]
    gained: tuple[int, ...]
    """The rows that only the second run passes."""
    lost: tuple[int, ...]
    """The rows that only the first run passes."""
    left_out: int
    """Rows that errored in a run, or that only one has."""


def compare_runs(
    first: Mapping[int, Outcome], second: Mapping[int, Outcome], confidence: float = 0.95
) -> RunComparison:
    """Compare two runs by the number of their rows; raises CannotCertify when no row is done in both.

    Rows that errored say nothing about either model, so pairs with one are left out and counted.
    """
    both = sorted(first.keys() & second.keys())
    rows = [row for row in both if first[row].passed is not None and second[row].passed is not None]
    if not rows:
        raise CannotCertify("The two runs have no row that is graded in both: run them on the same data source.")
    before = np.array([first[row].passed for row in rows], bool)
    after = np.array([second[row].passed for row in rows], bool)
    criteria = sorted({name for row in rows for name in first[row].scores.keys() & second[row].scores.keys()})
    return RunComparison(
        passing=compare_paired(after, before, confidence),
        scores={name: _scores(first, second, name, rows, confidence) for name in criteria},
        gained=tuple([row for row, a, b in zip(rows, before, after, strict=True) if b and not a]),
        lost=tuple([row for row, a, b in zip(rows, before, after, strict=True) if a and not b]),
        left_out=len(first.keys() | second.keys()) - len(rows),
    )


def mean_difference(first: Floats, second: Floats, confidence: float, seed: int = 0) -> ScoreDifference:
    """The difference of two means over the same rows [rows], by resampling rows with both their scores.

    Source: P. Koehn, "Statistical significance tests for machine translation evaluation" (2004). With few rows the
    interval is too narrow; below 30 or so it is a hint only.
    """
    differences = second - first
    draws = np.random.default_rng(seed)
    means: list[Floats] = []
    at_once = max(1, AT_ONCE // len(differences))
    for start in range(0, RESAMPLES, at_once):
        chosen = draws.integers(0, len(differences), (min(at_once, RESAMPLES - start), len(differences)))
        means.append(differences[chosen].mean(axis=1))
    outside = (1.0 - confidence) / 2.0
    low, high = np.quantile(np.concatenate(means), [outside, 1.0 - outside])
    return ScoreDifference(
        float(first.mean()),
        float(second.mean()),
        float(differences.mean()),
        (float(low), float(high)),
        len(differences),
    )


def _scores(
    first: Mapping[int, Outcome], second: Mapping[int, Outcome], name: str, rows: list[int], confidence: float
) -> ScoreDifference:
    kept = [row for row in rows if name in first[row].scores and name in second[row].scores]
    before = np.array([first[row].scores[name] for row in kept], np.float64)
    after = np.array([second[row].scores[name] for row in kept], np.float64)
    return mean_difference(before, after, confidence)
