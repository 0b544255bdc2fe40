"""Student against teacher where the truth is known: a score interval for the difference of paired shares."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from stillhouse.bundle.certificate import PairedStatement
from stillhouse.evaluation.answers import Bools
from stillhouse.evaluation.binomial import POWER

__all__ = ["compare_paired", "fewest_pairs", "pairs_needed", "tango_interval"]


def compare_paired(student_right: Bools, teacher_right: Bools, confidence: float) -> PairedStatement:
    """Accuracy of both [rows], and their difference with Tango's interval; at least one row."""
    rows = len(student_right)
    gained = int(np.count_nonzero(student_right & ~teacher_right))
    lost = int(np.count_nonzero(teacher_right & ~student_right))
    return PairedStatement(
        student_accuracy=float(np.mean(student_right)),
        teacher_accuracy=float(np.mean(teacher_right)),
        difference=(gained - lost) / rows,
        interval=tango_interval(gained, lost, rows, confidence),
        discordance=(gained + lost) / rows,
        rows=rows,
        method="score interval of Tango (1998), two-sided",
    )


def tango_interval(gained: int, lost: int, rows: int, confidence: float) -> tuple[float, float]:
    """The two-sided interval of (gained - lost) / rows, where a pair gains, loses or is equal.

    The differences d with |z(d)| <= z, where z(d) = (gained - lost - rows d) / sqrt(rows (2 q + d (1 - d))) and
    q is the likeliest share of losses given d. It holds its level where discordant pairs are few, as they are
    between student and teacher, and Wald's does not. Source: T. Tango, "Equivalence test and confidence interval
    for the difference in proportions for the paired-sample design", Statistics in Medicine 17 (1998).
    """
    z = _z((1.0 + confidence) / 2.0)
    return -_upper(lost, gained, rows, z), _upper(gained, lost, rows, z)


def fewest_pairs(margin: float, confidence: float) -> int:
    """The fewest pairs that, all equal, show a difference of at least -margin: z^2 / (n + z^2) <= margin."""
    return math.ceil(_z((1.0 + confidence) / 2.0) ** 2 * (1.0 - margin) / margin)


def pairs_needed(paired: PairedStatement, margin: float, confidence: float) -> int | None:
    """About how many pairs would show non-inferiority with 80% power, if the observed shares are the true ones.

    n = (z_confidence + z_power)^2 (discordance - difference^2) / (margin + difference)^2, the normal
    approximation; None when the observed difference is not above -margin.
    """
    room = margin + paired.difference
    if room <= 0.0:
        return None
    z = _z((1.0 + confidence) / 2.0) + _z(POWER)
    spread = paired.discordance - paired.difference**2
    return max(math.ceil(z * z * spread / (room * room)), fewest_pairs(margin, confidence))


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)


def _upper(gained: int, lost: int, rows: int, z: float) -> float:
    """The largest d whose score is not under -z, by bisection: the score falls as d grows."""
    low, high = (gained - lost) / rows, 1.0
    while low < (middle := (low + high) / 2.0) < high:
        low, high = (middle, high) if _score(gained, lost, rows, middle) >= -z else (low, middle)
    return high


def _score(gained: int, lost: int, rows: int, difference: float) -> float:
    """Tango's z(d) for -1 < d < 1; the likeliest share of losses is the larger root of a quadratic."""
    half = -gained - lost + (2 * rows - gained + lost) * difference
    constant = -lost * difference * (1.0 - difference)
    root = math.sqrt(max(half * half - 8.0 * rows * constant, 0.0))
    losses = (root - half) / (4.0 * rows)
    variance = rows * (2.0 * losses + difference * (1.0 - difference))
    return (gained - lost - rows * difference) / math.sqrt(variance)
