"""Source: batches with a teacher beside the student, that answers each of them or remembers what it answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

from torch import nn

from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.task import Task
from stillhouse.teachers.teacher import Teacher
from stillhouse.training.batch import EpochBatches
from stillhouse.training.source import Share, told_by_data

__all__ = ["Online"]


@final
class Online:
    """Every batch is shown to a teacher: a model (`Local`), several (`Ensemble`), or one that remembers (`Cached`).

    Words are those of the dataset. Nothing is kept between steps.
    """

    def __init__(self, task: Task, teacher: Teacher, rows: Sequence[int], size: int, seed: int) -> None:
        self._task, self._teacher = task, teacher
        self._order = EpochBatches(rows, task.length, size, seed)
        self._layers = Layers()

    @property
    def tells(self) -> frozenset[Kind]:
        return self._teacher.tells | told_by_data(self._task)

    @property
    def steps(self) -> int:
        return self._order.steps

    @property
    def follows(self) -> bool:
        return False

    def begin(self, student: nn.Module, layers: Layers) -> None:
        self._layers = layers

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        for rows in share.of(self._order.rows(epoch, number)):
            batch = self._task.batch(rows, epoch)
            yield batch, self._teacher.observe(batch, self._layers)

    def stepped(self, student: nn.Module) -> None:
        """Nothing follows from a step."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Everything follows from the arguments."""
