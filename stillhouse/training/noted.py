"""What passes through a training noted on its way: the step a source is at, and what an objective heard said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from stillhouse.models.outputs import Batch, Layers, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection, flat
from stillhouse.objectives.objective import LossSum, Objective, Taps
from stillhouse.signals.kinds import Kind
from stillhouse.training.preferred import judge_pairs
from stillhouse.training.source import Share, Source

__all__ = ["CountedSource", "HeardObjective", "SomeBatches", "add", "means", "seen"]

POSITIONS = 1_024
"""Tokens of a batch for which it is looked at whether they would have been chosen."""


@final
class CountedSource:
    """A source, and the number of the step that it was asked for last, from 1."""

    def __init__(self, source: Source) -> None:
        self._source, self.step_number = source, 0

    @property
    def tells(self) -> frozenset[Kind]:
        return self._source.tells

    @property
    def steps(self) -> int:
        return self._source.steps

    @property
    def follows(self) -> bool:
        return self._source.follows

    def begin(self, student: nn.Module, layers: Layers) -> None:
        self._source.begin(student, layers)

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        self.step_number = epoch * self.steps + number + 1
        return self._source.step(epoch, number, share)

    def stepped(self, student: nn.Module) -> None:
        self._source.stepped(student)

    def state(self) -> dict[str, Any]:
        return self._source.state()

    def restore(self, state: dict[str, Any]) -> None:
        self._source.restore(state)


@final
class HeardObjective:
    """An objective, and what was seen of the answers that it judged since `taken`."""

    def __init__(self, objective: Objective, pairs: bool) -> None:
        self._objective, self._pairs = objective, pairs
        self._sums: dict[str, list[float]] = {}

    @property
    def needs(self) -> frozenset[Kind]:
        return self._objective.needs

    @property
    def taps(self) -> Taps:
        return self._objective.taps

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return self._objective.count(teacher, batch)

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return self._objective.learns(student, teacher)

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        add(self._sums, seen(student, teacher, batch, self._pairs))
        return self._objective(student, teacher, batch)

    def taken(self) -> dict[str, float]:
        """Means of what was seen, and forget it."""
        found, self._sums = means(self._sums), {}
        return found


def seen(said: StudentOutput, told: TeacherOutput, batch: Batch, pairs: bool) -> dict[str, tuple[float, float]]:
    """Sums and counts of what is seen of answers: tokens that would have been chosen, or pairs told apart."""
    if pairs:
        judged = judge_pairs(said, told, batch)["student"]
        names = ("reward_accuracy", "reward_margin")
        return {name: (float(judged[name].sum()), float(len(judged[name]))) for name in names if name in judged}
    index = (batch.labels >= 0).flatten().nonzero().squeeze(-1)[:POSITIONS]
    if said.scores is None or not len(index):
        return {}
    with torch.no_grad():
        some = flat(said.scores)[index]
        logits = some.logits() if isinstance(some, Projection) else some
        assert isinstance(logits, Tensor)
        right = (logits.argmax(-1) == batch.labels.flatten()[index]).sum()
    return {"mean_token_accuracy": (float(right), float(len(index)))}


def add(sums: dict[str, list[float]], more: Mapping[str, tuple[float, float]]) -> None:
    """Add sums and counts to those so far."""
    for name, (total, count) in more.items():
        so_far = sums.setdefault(name, [0.0, 0.0])
        so_far[0] += total
        so_far[1] += count


def means(sums: Mapping[str, list[float]]) -> dict[str, float]:
    """Sums by their counts."""
    return {name: total / max(count, 1) for name, (total, count) in sums.items()}


@final
class SomeBatches:
    """Some batches of a source whose order is always the same."""

    def __init__(self, source: Source, numbers: Sequence[int]) -> None:
        self._source, self._numbers = source, numbers

    @property
    def tells(self) -> frozenset[Kind]:
        return self._source.tells

    @property
    def steps(self) -> int:
        return len(self._numbers)

    @property
    def follows(self) -> bool:
        return False

    def begin(self, student: nn.Module, layers: Layers) -> None:
        self._source.begin(student, layers)

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        return self._source.step(0, self._numbers[number], share)

    def stepped(self, student: nn.Module) -> None:
        """Nobody learns."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing is kept."""
