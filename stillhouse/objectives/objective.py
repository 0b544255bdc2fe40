"""Objective, what a student is asked to match, and LossSum, what it answers: a sum and a count, never a mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.signals.kinds import Kind

__all__ = ["LossSum", "Objective"]


@dataclass(frozen=True)
class LossSum:
    """The loss summed over the positions that count, and how many there were.

    Both are `[]`, or `[terms]` for a sum of objectives whose terms count different positions. Sums add
    over chunks, micro-batches and ranks; only `training/loop.py` divides, term by term.
    """

    total: Tensor
    count: Tensor

    def __add__(self, other: LossSum) -> LossSum:
        return LossSum(self.total + other.total, self.count + other.count)


class Objective(Protocol):
    """Compares what the student says with what the teacher told, on the positions that count."""

    @property
    def needs(self) -> frozenset[Kind]:
        """What the teacher must tell."""
        ...

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum: ...
