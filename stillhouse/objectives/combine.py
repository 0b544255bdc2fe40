"""Objectives that add and scale: `0.7 * ForwardKL(temperature=2) + 0.3 * CrossEntropy()`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch

from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.objectives.objective import LossSum, Objective
from stillhouse.signals.kinds import Kind

__all__ = ["Composable", "WeightedSum"]


class Composable(ABC):
    """An objective that has `+` and `*`."""

    @property
    @abstractmethod
    def needs(self) -> frozenset[Kind]:
        """What the teacher must tell."""

    @abstractmethod
    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        """The loss summed over the positions that count, and how many there were."""

    def __mul__(self, weight: float) -> WeightedSum:
        return WeightedSum(((float(weight), self),))

    __rmul__ = __mul__

    def __add__(self, other: Objective) -> WeightedSum:
        return WeightedSum(_terms(self) + _terms(other))


@final
@dataclass(frozen=True)
class WeightedSum:
    """Several objectives, each weighted; each is averaged over the positions it counts itself.

    Its LossSum has one entry per term, so that a term which counts few positions (answered ones, say)
    keeps its weight beside one that counts them all.
    """

    terms: tuple[tuple[float, Objective], ...]

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset().union(*(objective.needs for _, objective in self.terms))

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        sums = [objective(student, teacher, batch) for _, objective in self.terms]
        totals = [weight * part.total for (weight, _), part in zip(self.terms, sums, strict=True)]
        return LossSum(torch.stack(totals), torch.stack([part.count for part in sums]))

    def __mul__(self, weight: float) -> WeightedSum:
        return WeightedSum(tuple((weight * own, objective) for own, objective in self.terms))

    __rmul__ = __mul__

    def __add__(self, other: Objective) -> WeightedSum:
        return WeightedSum(self.terms + _terms(other))


def _terms(objective: Objective) -> tuple[tuple[float, Objective], ...]:
    return objective.terms if isinstance(objective, WeightedSum) else ((1.0, objective),)
