"""Source: batches joined with what the teacher told beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from stillhouse.models.outputs import Batch, TeacherOutput
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.task import Task
from stillhouse.training.batch import epoch_batches

__all__ = ["Offline"]


@final
@dataclass(frozen=True)
class Offline:
    """Teacher logits `[samples, positions, labels]` kept from before, or none: then only words are told.

    `told` `[samples, positions]` says which of them the teacher really gave.
    """

    task: Task
    rows: Sequence[int]
    size: int
    seed: int
    logits: Tensor | None = None
    told: Tensor | None = None

    @property
    def tells(self) -> frozenset[Kind]:
        return frozenset({Kind.WORDS} if self.logits is None else {Kind.WORDS, Kind.LOGITS})

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Batch, TeacherOutput]]:
        """The batches of an epoch from number `start`."""
        for rows in epoch_batches(self.rows, self.task.length, self.size, self.seed, epoch)[start:]:
            batch = self.task.batch(rows)
            if self.logits is None or self.told is None:
                yield batch, TeacherOutput()
            else:
                yield batch, TeacherOutput(self.logits[batch.rows], self.told[batch.rows])

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.rows) // self.size)
