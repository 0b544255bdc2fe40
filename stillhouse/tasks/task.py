"""Task: samples to batches, and what a model says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from stillhouse.models.outputs import Batch, Layers, StudentOutput

__all__ = ["Task"]


class Task(Protocol):
    """What a training loop has to know about the kind of work."""

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        """The samples of these rows as padded tensors; where samples are varied, `epoch` says which variation."""
        ...

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        """What a model says of a batch, in the shape that objectives compare, with the features caught on the way."""
        ...

    def asked(self, batch: Batch) -> Tensor:
        """Where a batch asks something, True `[rows, positions]`: of a teacher that always answers, what it told."""
        ...

    def length(self, row: int) -> int:
        """Tokens in a sample, for batching samples of like length."""
        ...
