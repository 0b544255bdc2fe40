"""Source: where batches and the teacher's word on them come from, and Share, whose part of a step is whose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from torch import nn

from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.preference import PreferenceTask
from stillhouse.tasks.task import Task

__all__ = ["Share", "Source", "told_by_data"]


@dataclass(frozen=True)
class Share:
    """One process's part of every step: `parts` micro-batches on each of `ranks` processes, of which it is `rank`."""

    rank: int = 0
    ranks: int = 1
    parts: int = 1

    def of(self, rows: Sequence[int]) -> list[list[int]]:
        """This process's micro-batches of a step's rows; together all processes' hold each row once."""
        pieces = self.ranks * self.parts
        bounds = [len(rows) * piece // pieces for piece in range(pieces + 1)]
        every = [list(rows[start:end]) for start, end in pairwise(bounds)]
        return [piece for piece in every[self.rank * self.parts : (self.rank + 1) * self.parts] if piece]


def told_by_data(task: Task) -> frozenset[Kind]:
    """What a task's samples say without any teacher: words, and where they are pairs which of two answers is better."""
    return frozenset({Kind.WORDS, Kind.PREFERENCE} if isinstance(task, PreferenceTask) else {Kind.WORDS})


class Source(Protocol):
    """Batches and what the teacher told about them; the loop does not know where they come from."""

    @property
    def tells(self) -> frozenset[Kind]:
        """What its teacher tells."""
        ...

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        ...

    @property
    def follows(self) -> bool:
        """Whether it looks at the student while that learns: to let it write, to average it, to ask it."""
        ...

    def begin(self, student: nn.Module, layers: Layers) -> None:
        """Told once, before anything else: who learns, and what the objective wants caught inside the teacher."""
        ...

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        """The micro-batches of one step that are this process's share.

        Whatever is left to chance follows from the epoch, the number and the row, never from the share.
        """
        ...

    def stepped(self, student: nn.Module) -> None:
        """Told after every step, in all processes, with the student as it now is."""
        ...

    def state(self) -> dict[str, Any]:
        """What a resumed run has to know that does not follow from the arguments: tensors, numbers, lists, dicts."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        ...
