"""Source: batches joined with what the teacher told beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.tasks.task import Task
from stillhouse.training.batch import EpochBatches
from stillhouse.training.source import Share, told_by_data

__all__ = ["Offline"]


@final
@dataclass(frozen=True)
class Offline:
    """Teacher logits `[samples, positions, labels]` kept in memory, or none: then only words are told.

    `told` `[samples, positions]` says which of them the teacher really gave. Signals kept on disk are a teacher of
    their own, `Cached`, that an `Online` source asks as it would ask a model.
    """

    task: Task
    rows: Sequence[int]
    size: int
    seed: int
    logits: Tensor | None = None
    told: Tensor | None = None
    order: EpochBatches = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", EpochBatches(self.rows, self.task.length, self.size, self.seed))

    @property
    def tells(self) -> frozenset[Kind]:
        return told_by_data(self.task) | (frozenset() if self.logits is None else EVERY_SCORE)

    @property
    def steps(self) -> int:
        return self.order.steps

    @property
    def follows(self) -> bool:
        return False

    def begin(self, student: nn.Module, layers: Layers) -> None:
        """Refuse objectives that want to look inside the teacher, of whom only answers were kept."""
        if layers:
            raise UsageError("Only a teacher's answers were kept, and this objective compares its inside.")

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        for rows in share.of(self.order.rows(epoch, number)):
            batch = self.task.batch(rows, epoch)
            if self.logits is None:
                yield batch, TeacherOutput()
            else:
                yield (
                    batch,
                    TeacherOutput(self.logits[batch.rows], None if self.told is None else self.told[batch.rows]),
                )

    def stepped(self, student: nn.Module) -> None:
        """Nothing follows from a step."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Everything follows from the arguments."""
