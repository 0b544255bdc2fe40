"""Classification: one label per field; a plain label task is the case of one field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.forward import capture
from stillhouse.models.heads import label_head, what_enters
from stillhouse.models.outputs import ABSENT, Batch, Features, Layers, StudentOutput
from stillhouse.models.tokenizers import Ids, pad

__all__ = ["Classification", "classify", "to_positions"]


LENGTHS = 4
"""Batches are a multiple of this long: a CPU makes its kernels anew for every shape, which costs more than padding."""


@final
@dataclass(frozen=True)
class Classification:
    """`ids` per sample, `labels` `[samples, fields]` (-1: unanswered), and `sizes`, the labels of each field.

    Models answer with logits side by side `[rows, all labels]`, as such or as `logits` of a Transformers output.
    """

    ids: Sequence[Ids]
    labels: npt.NDArray[np.int64]
    sizes: tuple[int, ...]
    padding: int = 0
    """The id that fills short rows."""

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        ids, mask = pad([self.ids[row] for row in rows], LENGTHS, self.padding)
        return Batch(
            {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)},
            torch.from_numpy(self.labels[np.asarray(rows)]),
            torch.tensor(rows),
        )

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        raw, features = classify(student, lambda: student(**batch.inputs), layers, sum(self.sizes))
        return StudentOutput(to_positions(raw, self.sizes), features)

    def asked(self, batch: Batch) -> Tensor:
        return torch.ones_like(batch.labels, dtype=torch.bool)

    def length(self, row: int) -> int:
        return len(self.ids[row])


def classify(model: nn.Module, answer: Callable[[], Any], layers: Layers, labels: int) -> tuple[Tensor, Features]:
    """The logits `[rows, labels]` that a classifier gives when it is run by `answer`, with what was caught.

    They come as such, or as `logits` of a Transformers output. A sample's embedding is what enters the last layer.
    """
    with ExitStack() as stack:
        caught = stack.enter_context(capture(model, layers))
        seen = stack.enter_context(what_enters(label_head(model, labels))) if layers.embedding else []
        said = answer()
    raw = said if isinstance(said, Tensor) else getattr(said, "logits", None)
    if raw is None or raw.shape[1:] != (labels,):
        given = "no logits" if raw is None else f"logits {list(raw.shape)}"
        raise UsageError(f"{type(model).__name__} gives {given}, where [rows, {labels}] were looked for.")
    features = caught.features()
    if seen and seen[-1].dim() != 2:
        raise UsageError(
            f"The last layer of {type(model).__name__} reads {list(seen[-1].shape)}, not one vector for each sample; "
            "give the objective blocks whose states it is to use."
        )
    return raw, replace(features, embedding=seen[-1]) if seen else features


def to_positions(raw: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Logits side by side `[rows, all labels]` -> `[rows, fields, labels]`, short fields filled with ABSENT."""
    widest = max(sizes)
    parts = [
        torch.nn.functional.pad(part, (0, widest - part.shape[-1]), value=ABSENT) for part in raw.split(sizes, dim=-1)
    ]
    return torch.stack(parts, dim=1)
