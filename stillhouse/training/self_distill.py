"""Sources: a student that teaches itself: by its moving average, by its last block, or by the generation before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, final

import torch
from torch import nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.tasks.task import Task
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, ask
from stillhouse.training.batch import EpochBatches
from stillhouse.training.distributed import moving_weights
from stillhouse.training.exits import AtExits
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.source import Share

__all__ = ["EMA", "LastBlock", "born_again"]


@final
class EMA:
    """The teacher is the moving average of the student's weights: theta' = d theta' + (1 - d) theta after every step.

    It begins as the student; d is at first smaller than `decay`, min(decay, (1 + t) / (10 + t)) at step t, so that the
    beginning is soon forgotten. Buffers (running means) are averaged too, counters copied. Tarvainen & Valpola 2017,
    arxiv.org/abs/1703.01780.
    """

    def __init__(self, task: Task, rows: Sequence[int], size: int, seed: int, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise UsageError(f"The average keeps a share of at least 0 and below 1 of itself; decay is {decay}.")
        self._task, self._decay = task, decay
        self._order = EpochBatches(rows, task.length, size, seed)
        self._layers, self._steps = Layers(), 0
        self._average: nn.Module | None = None
        self._learns: frozenset[str] = frozenset()

    @property
    def tells(self) -> frozenset[Kind]:
        return ANSWERS_AND_INSIDE | {Kind.WORDS}

    @property
    def steps(self) -> int:
        return self._order.steps

    @property
    def follows(self) -> bool:
        return True

    @property
    def average(self) -> nn.Module:
        """The teacher as it now is; often better than the student."""
        if self._average is None:
            raise UsageError("There is no average yet: training has not begun.")
        return self._average

    def begin(self, student: nn.Module, layers: Layers) -> None:
        self._average, self._layers, self._steps = deepcopy(student), layers, 0
        self._average.requires_grad_(False).eval()
        self._learns = frozenset(moving_weights(student))

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        for rows in share.of(self._order.rows(epoch, number)):
            batch = self._task.batch(rows, epoch)
            yield batch, told_by(self.average, self._task, batch, self._layers)

    @torch.no_grad()
    def stepped(self, student: nn.Module) -> None:
        """Move the average towards the student."""
        kept = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        weights = student.state_dict()
        for name, mean in self.average.state_dict().items():
            if name in self._learns and mean.is_floating_point():
                mean.lerp_(weights[name].to(mean.dtype), 1 - kept)
            elif name in self._learns:
                mean.copy_(weights[name])

    def state(self) -> dict[str, Any]:
        average = self.average.state_dict()
        return {"steps": self._steps, "average": {name: average[name] for name in sorted(self._learns)}}

    def restore(self, state: dict[str, Any]) -> None:
        self._steps = state["steps"]
        self.average.load_state_dict(state["average"], strict=False)


@final
class LastBlock:
    """The answer after the last block teaches the exits before it (`Exits`), which all learn in one pass.

    The last answer itself is told nothing and learns from words. Zhang et al. 2019, arxiv.org/abs/1905.08094.
    """

    def __init__(self, task: AtExits, rows: Sequence[int], size: int, seed: int) -> None:
        self._task = task
        self._order = EpochBatches(rows, task.length, size, seed)
        self._student: nn.Module | None = None

    @property
    def tells(self) -> frozenset[Kind]:
        return EVERY_SCORE | {Kind.WORDS}

    @property
    def steps(self) -> int:
        return self._order.steps

    @property
    def follows(self) -> bool:
        return True

    def begin(self, student: nn.Module, layers: Layers) -> None:
        if layers:
            raise UsageError("The last block teaches its answers; an objective cannot compare its inside with itself.")
        self._student = student

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        if self._student is None:
            raise UsageError("This source has to be told who the student is: call its begin(student, layers).")
        for rows in share.of(self._order.rows(epoch, number)):
            batch = self._task.batch(rows, epoch)
            yield batch, self._task.told_by_last(self._student, batch)

    def stepped(self, student: nn.Module) -> None:
        """The teacher is the student itself."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Everything follows from the arguments and the student."""


def told_by(model: nn.Module, task: Task, batch: Batch, layers: Layers) -> TeacherOutput:
    """What a model that still learns says as a teacher."""
    batch = batch.to(next(model.parameters()).device)
    said = ask(model, task, batch, layers)
    return TeacherOutput(said.scores, task.asked(batch), said.features)


def born_again(
    lesson: Callable[[int, nn.Module | None], Lesson], generations: int, schedule: Schedule, watch: Watch
) -> list[nn.Module]:
    """Students one after the other, each taught by the one before; all of them, of which an ensemble can be made.

    `lesson(number, before)` makes the lesson of a generation from an untaught student; `before` is None for the
    first, which learns from words or from a teacher of its own. A checkpoint is kept for each generation, so that a
    run that is stopped goes on in the generation it was in. Furlanello et al. 2018, arxiv.org/abs/1805.04770.
    """
    if generations < 1:
        raise UsageError(f"There must be 1 generation or more, not {generations}.")
    students: list[nn.Module] = []
    for number in range(generations):
        taught = lesson(number, students[-1] if students else None)
        place = watch.checkpoint
        own = None if place is None else place.with_name(f"{place.name}.{number}")
        train(taught, schedule, replace(watch, checkpoint=own))
        students.append(taught.student)
    return students
