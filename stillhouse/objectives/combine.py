"""Objectives that add and scale: `0.7 * ForwardKL(temperature=2) + 0.3 * CrossEntropy()`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection, everywhere, flat
from stillhouse.objectives.cost import Cost, Known
from stillhouse.objectives.fused import summed
from stillhouse.objectives.objective import LossSum, Objective, Taps
from stillhouse.signals.kinds import EVERY_SCORE, Kind

__all__ = ["Composable", "Response", "WeightedSum"]


class Composable(ABC):
    """An objective that has `+` and `*`."""

    @property
    @abstractmethod
    def needs(self) -> frozenset[Kind]:
        """What the teacher must tell."""

    @property
    @abstractmethod
    def taps(self) -> Taps:
        """What has to be caught inside the two models."""

    @abstractmethod
    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        """How much counts: the `count` of the LossSum to come."""

    @abstractmethod
    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        """What the objective learns itself, made to the sizes of a first batch."""

    @abstractmethod
    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        """The loss summed over what counts, and how much that was."""

    @final
    def __mul__(self, weight: float) -> WeightedSum:
        return WeightedSum(((float(weight), self),))

    __rmul__ = __mul__

    @final
    def __add__(self, other: Objective) -> WeightedSum:
        return WeightedSum(_terms(self) + _terms(other))


class Response(Composable, ABC):
    """An objective of answers, taken position by position, so that logits never need to exist all at once."""

    @property
    @abstractmethod
    def cost(self) -> Cost:
        """What positions cost as a function of the student's logits there."""

    @final
    @property
    def taps(self) -> Taps:
        return Taps()

    @final
    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    @final
    def where(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        """The positions that count, `[rows, positions]`: answered, told about, or both, as the objective needs."""
        told = None
        if self.needs & EVERY_SCORE:
            if teacher.scores is None:
                raise UsageError(f"{type(self).__name__} needs a teacher that tells how sure it is; this one did not.")
            told = everywhere(teacher.scores) if teacher.told is None else teacher.told
        answered = batch.labels >= 0 if Kind.WORDS in self.needs else None
        parts = [part for part in (told, answered) if part is not None]
        return parts[0] if len(parts) == 1 else parts[0] & parts[1]

    @final
    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return self.where(teacher, batch).sum()

    @final
    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        where = self.where(teacher, batch)
        return LossSum(_in_one_pass([(1.0, self)], where, student, (teacher, batch))[0], where.sum())


@final
@dataclass(frozen=True)
class WeightedSum:
    """Several objectives, each weighted; each is averaged over what it counts itself.

    Its LossSum has one entry per term, so that a term which counts few positions (answered ones, say)
    keeps its weight beside one that counts them all. Terms over the same positions of a language model go
    through its head together.
    """

    terms: tuple[tuple[float, Objective], ...]

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset().union(*(objective.needs for _, objective in self.terms))

    @property
    def taps(self) -> Taps:
        found = Taps()
        for _, objective in self.terms:
            found |= objective.taps
        return found

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return torch.cat([objective.count(teacher, batch).reshape(-1) for _, objective in self.terms])

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return [module for _, objective in self.terms for module in objective.learns(student, teacher)]

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        sums: dict[int, LossSum] = {}
        if isinstance(student.scores, Projection):
            sums = self._through_the_head(student, teacher, batch)
        for at, (weight, objective) in enumerate(self.terms):
            if at not in sums:
                own = objective(student, teacher, batch)
                sums[at] = LossSum(weight * own.total, own.count)
        parts = [sums[at] for at in range(len(self.terms))]
        totals, counts = ([part.total for part in parts], [part.count for part in parts])
        return LossSum(*(torch.cat([part.reshape(-1) for part in side]) for side in (totals, counts)))

    def _through_the_head(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> dict[int, LossSum]:
        """The weighted sums of the terms about answers; those over the same positions share a pass."""
        answers = {at: term for at, (_, term) in enumerate(self.terms) if isinstance(term, Response)}
        groups: list[tuple[Tensor, list[int]]] = []
        for at, term in answers.items():
            where = term.where(teacher, batch)
            same = next((members for mask, members in groups if torch.equal(mask, where)), None)
            if same is None:
                groups.append((where, [at]))
            else:
                same.append(at)
        found: dict[int, LossSum] = {}
        for where, members in groups:
            weighted = [(self.terms[at][0], answers[at]) for at in members]
            totals = _in_one_pass(weighted, where, student, (teacher, batch))
            found |= {at: LossSum(totals[number], where.sum()) for number, at in enumerate(members)}
        return found

    def __mul__(self, weight: float) -> WeightedSum:
        return WeightedSum(tuple((weight * own, objective) for own, objective in self.terms))

    __rmul__ = __mul__

    def __add__(self, other: Objective) -> WeightedSum:
        return WeightedSum(self.terms + _terms(other))


def _in_one_pass(
    terms: Sequence[tuple[float, Response]], where: Tensor, student: StudentOutput, told: tuple[TeacherOutput, Batch]
) -> Tensor:
    """The weighted sums `[terms]` of objectives over the same positions."""
    if student.scores is None:
        raise UsageError(f"{type(terms[0][1]).__name__} compares answers; this student gives none, only features.")
    teacher, batch = told
    asked = any(term.needs & EVERY_SCORE for _, term in terms)
    scores = flat(teacher.scores) if asked and teacher.scores is not None else None
    index = where.flatten().nonzero().squeeze(-1)
    costs = [(weight, term.cost) for weight, term in terms]
    return summed(flat(student.scores), index, Known(scores, batch.labels.flatten()), index, costs)


def _terms(objective: Objective) -> tuple[tuple[float, Objective], ...]:
    return objective.terms if isinstance(objective, WeightedSum) else ((1.0, objective),)
