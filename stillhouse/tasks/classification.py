"""Classification: one label per field; a plain label task is the case of one field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stillhouse.models.outputs import ABSENT, Batch, StudentOutput
from stillhouse.models.tokenizers import Ids, pad

__all__ = ["Classification", "split_fields", "to_positions"]


LENGTHS = 4
"""Batches are a multiple of this long: a CPU makes its kernels anew for every shape, which costs more than padding."""


@final
@dataclass(frozen=True)
class Classification:
    """`ids` per sample, `labels` `[samples, fields]` (-1: unanswered), and `sizes`, the labels of each field."""

    ids: Sequence[Ids]
    labels: npt.NDArray[np.int64]
    sizes: tuple[int, ...]

    def batch(self, rows: Sequence[int]) -> Batch:
        ids, mask = pad([self.ids[row] for row in rows], LENGTHS)
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy(mask),
            torch.from_numpy(self.labels[np.asarray(rows)]),
            torch.tensor(rows),
        )

    def output(self, raw: Tensor) -> StudentOutput:
        return StudentOutput(to_positions(raw, self.sizes))

    def length(self, row: int) -> int:
        return len(self.ids[row])


def to_positions(raw: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Logits side by side `[rows, all labels]` -> `[rows, fields, labels]`, short fields filled with ABSENT."""
    widest = max(sizes)
    parts = [
        torch.nn.functional.pad(part, (0, widest - part.shape[-1]), value=ABSENT) for part in raw.split(sizes, dim=-1)
    ]
    return torch.stack(parts, dim=1)


def split_fields(raw: npt.NDArray[np.float32], sizes: tuple[int, ...]) -> list[npt.NDArray[np.float32]]:
    """Logits side by side `[rows, all labels]` -> one `[rows, labels]` array per field."""
    return np.split(raw, np.cumsum(sizes)[:-1], axis=1)
