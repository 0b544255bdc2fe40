"""Batch, StudentOutput and TeacherOutput: tensors in flight between sources, students and objectives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ABSENT", "Batch", "StudentOutput", "TeacherOutput"]

ABSENT = -1e4
"""The logit of a label that a position does not have: probability zero, and finite gradients."""


@dataclass(frozen=True)
class Batch:
    """Some samples, padded to one length.

    `input_ids` and `attention_mask` are `[rows, tokens]`; `labels` is `[rows, positions]` with the
    index of the teacher's answer, or -1 where it gave none; `rows` `[rows]` says which samples they are.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same samples on a device."""
        return Batch(
            self.input_ids.to(device), self.attention_mask.to(device), self.labels.to(device), self.rows.to(device)
        )


@dataclass(frozen=True)
class StudentOutput:
    """What the student says: `logits` `[rows, positions, labels]`, `ABSENT` where a label does not exist."""

    logits: Tensor


@dataclass(frozen=True)
class TeacherOutput:
    """What the teacher told: `logits` `[rows, positions, labels]`, and `told` `[rows, positions]` where it did."""

    logits: Tensor | None = None
    told: Tensor | None = None

    def to(self, device: torch.device) -> TeacherOutput:
        """The same answers on a device."""
        logits, told = (None if part is None else part.to(device) for part in (self.logits, self.told))
        return TeacherOutput(logits, told)
