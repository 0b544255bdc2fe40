"""Source: batches of another source, for a student of whose weights some are held at zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

from torch import nn

from stillhouse.compression.sparsity import Masks, apply_masks
from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.signals.kinds import Kind
from stillhouse.training.source import Share, Source

__all__ = ["Masked"]


@final
class Masked:
    """What `source` gives; before the first step and after each one the weights that `masks` leave out are zero.

    The loop tells its source of every step before it measures or saves the student, so no student is ever seen with
    other weights. A student that is spread over processes (`shard`) is refused, as for every source that follows it.
    """

    def __init__(self, source: Source, masks: Masks) -> None:
        self._source, self._masks = source, masks

    @property
    def tells(self) -> frozenset[Kind]:
        return self._source.tells

    @property
    def steps(self) -> int:
        return self._source.steps

    @property
    def follows(self) -> bool:
        return True

    def begin(self, student: nn.Module, layers: Layers) -> None:
        apply_masks(student, self._masks)
        self._source.begin(student, layers)

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        return self._source.step(epoch, number, share)

    def stepped(self, student: nn.Module) -> None:
        """Set the weights that the step has moved to zero again, and tell the source."""
        apply_masks(student, self._masks)
        self._source.stepped(student)

    def state(self) -> dict[str, Any]:
        return self._source.state()

    def restore(self, state: dict[str, Any]) -> None:
        self._source.restore(state)
