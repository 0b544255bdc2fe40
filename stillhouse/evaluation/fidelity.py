"""How faithfully a student repeats its teacher: agreement, F1, recall by label, and what it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.evaluation.answers import Answers, Bools, Floats

__all__ = ["Confusion", "Fidelity", "FieldFidelity", "agrees", "judge", "measure_fidelity", "soft_divergence"]

Labels = NDArray[np.integer]
UNKNOWN = -1
"""In place of a true label."""


@dataclass(frozen=True)
class Confusion:
    """The teacher said one label, the student another."""

    teacher: int
    """A label's index; below 0 for an answer that is none of the field's labels."""
    student: int
    count: int
    rows: tuple[int, ...]
    """The first rows on which it happened, for examples."""


@dataclass(frozen=True)
class FieldFidelity:
    """One field, label by label; shares are 0..1."""

    agreement: float
    macro_f1: float
    """Mean F1 over the labels that teacher or student gave."""
    recall: tuple[float, ...]
    """[labels] Share of the teacher's uses of a label that the student repeats; 0 where support is 0."""
    support: tuple[int, ...]
    """[labels] How often the teacher used each label."""
    confusions: tuple[Confusion, ...]
    """The commonest first."""


@dataclass(frozen=True)
class Fidelity:
    """All fields together, and each by itself; 0 without rows."""

    agreement: float
    """Share of rows on which every field agrees."""
    fields: tuple[FieldFidelity, ...]


def agrees(predicted: Labels, teacher: Labels) -> Bools:
    """[rows] Whether all fields agree, of `predicted` and `teacher` [rows, fields]."""
    return np.all(predicted == teacher, axis=1)


def judge(predicted: Labels, confidence: Floats, teacher: Labels, truths: Labels) -> Answers:
    """What was predicted against the teacher's labels, and against the truth on the rows where it is known.

    `predicted`, `teacher` and `truths` are [rows, fields], `confidence` [rows]; -1 in `truths` is unknown. Where the
    teacher gave an answer that is no label, it is below 0 in `teacher`, and in `truths` too if it is the right one:
    the student is then wrong and the teacher right.
    """
    correct, known = agrees(predicted, teacher), np.all(truths != UNKNOWN, axis=1)
    if not known.any():
        return Answers(correct, confidence)
    right = agrees(predicted[known], truths[known])
    return Answers(correct, confidence, right, agrees(teacher[known], truths[known]))


def measure_fidelity(predicted: Labels, teacher: Labels, sizes: Sequence[int], top: int = 20) -> Fidelity:
    """Compare the student's labels with the teacher's, both [rows, fields]; `sizes` holds each field's label count.

    A teacher's label below 0 is an answer the student cannot give: it counts as a disagreement. `top` is how many
    confused pairs, and how many rows of each, are kept.
    """
    fields = tuple(_field(predicted[:, i], teacher[:, i], size, top) for i, size in enumerate(sizes))
    return Fidelity(_share(agrees(predicted, teacher)), fields)


def soft_divergence(teacher: Floats, student: Floats) -> float:
    """The mean Kullback-Leibler divergence, in nats, of the student's from the teacher's soft answers [rows, labels].

    mean over rows of sum p log(p / q), with 0 log 0 = 0 and q at least 1e-12; 0 without rows. Source: S. Kullback
    and R. A. Leibler, "On information and sufficiency" (1951).
    """
    if not len(teacher):
        return 0.0
    p, q = teacher.astype(np.float64), np.maximum(student.astype(np.float64), 1e-12)
    ratios = np.log(np.maximum(p, 1e-300) / q)
    return float((p * ratios).sum(axis=1).mean())


def _field(predicted: Labels, teacher: Labels, size: int, top: int) -> FieldFidelity:
    right = predicted == teacher
    hits = np.bincount(teacher[right], minlength=size)
    support = np.bincount(teacher[teacher >= 0], minlength=size)
    given = np.bincount(predicted, minlength=size)
    used = support + given
    recall = hits / np.maximum(support, 1)
    f1 = (2.0 * hits / np.maximum(used, 1))[used > 0]
    return FieldFidelity(
        agreement=_share(right),
        macro_f1=float(f1.mean()) if len(f1) else 0.0,
        recall=tuple(recall.tolist()),
        support=tuple(support.tolist()),
        confusions=_confusions(predicted, teacher, size, top),
    )


def _confusions(predicted: Labels, teacher: Labels, size: int, top: int) -> tuple[Confusion, ...]:
    """The commonest pairs of different labels; among equals the lower labels first."""
    wrong = np.flatnonzero(predicted != teacher)
    codes = (teacher[wrong].astype(np.int64) + 1) * size + predicted[wrong]
    pairs, counts = np.unique(codes, return_counts=True)
    found: list[Confusion] = []
    for index in np.argsort(-counts, kind="stable")[:top]:
        asked, answered = divmod(int(pairs[index]), size)
        rows = wrong[codes == pairs[index]][:top]
        found.append(Confusion(asked - 1, answered, int(counts[index]), tuple(rows.tolist())))
    return tuple(found)


def _share(right: Bools) -> float:
    return float(np.mean(right)) if len(right) else 0.0
