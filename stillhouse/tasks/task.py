"""Task: samples to batches, and a student's raw output to what objectives compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from stillhouse.models.outputs import Batch, StudentOutput

__all__ = ["Task"]


class Task(Protocol):
    """What a training loop has to know about the kind of work."""

    def batch(self, rows: Sequence[int]) -> Batch:
        """The samples of these rows as padded tensors."""
        ...

    def output(self, raw: Tensor) -> StudentOutput:
        """The student's raw answer in the shape that objectives compare."""
        ...

    def length(self, row: int) -> int:
        """Tokens in a sample, for batching samples of like length."""
        ...
