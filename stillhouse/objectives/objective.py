"""Objective, what a student is asked to match, and LossSum, what it answers: a sum and a count, never a mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from stillhouse.models.outputs import Batch, Layers, StudentOutput, TeacherOutput
from stillhouse.signals.kinds import Kind

__all__ = ["LossSum", "Objective", "Taps"]


@dataclass(frozen=True)
class LossSum:
    """The loss summed over what counts, and how much that was.

    Both are `[]`, or `[terms]` for a sum of objectives whose terms count different things. Sums add
    over chunks, micro-batches and ranks; only `training/loop.py` divides, term by term.
    """

    total: Tensor
    count: Tensor

    def __add__(self, other: LossSum) -> LossSum:
        return LossSum(self.total + other.total, self.count + other.count)


@dataclass(frozen=True)
class Taps:
    """What has to be caught inside the student and inside the teacher."""

    student: Layers = field(default_factory=Layers)
    teacher: Layers = field(default_factory=Layers)

    def __or__(self, other: Taps) -> Taps:
        return Taps(self.student | other.student, self.teacher | other.teacher)


class Objective(Protocol):
    """Compares what the student says with what the teacher told, on the positions that count."""

    @property
    def needs(self) -> frozenset[Kind]:
        """What the teacher must tell."""
        ...

    @property
    def taps(self) -> Taps:
        """What has to be caught inside the two models."""
        ...

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        """How much counts, known before the student has answered: the `count` of the LossSum to come."""
        ...

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        """What the objective learns itself, such as projectors, made to the sizes of a first batch."""
        ...

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum: ...
