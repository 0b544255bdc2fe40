"""Learn to answer and to give reasons: two tasks of one student, each in rows of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.objectives.combine import Composable
from stillhouse.objectives.objective import LossSum, Taps
from stillhouse.objectives.response import CrossEntropy
from stillhouse.signals.kinds import Kind

__all__ = ["StepByStep"]


@final
@dataclass(frozen=True)
class StepByStep(Composable):
    """answers * mean(-ln q) over the answers' tokens + (1 - answers) * mean(-ln q) over the rationales' tokens.

    `batch.parts` `[rows]` says which rows ask for the answer (0) and which for the reasons behind it (1), as a rule by
    two prefixes of one question. The LossSum has a term for each, since each is averaged over its own tokens: long
    rationales do not drown short answers. Zero when the student is certain of both. Choose it when a large teacher
    can explain itself and labels are few; the student need not explain anything when it is used.
    Hsieh et al. 2023, arxiv.org/abs/2305.02301.
    """

    answers: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.answers <= 1:
            raise UsageError(f"StepByStep's answers is a share from 0 to 1; it is {self.answers}.")

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.WORDS})

    @property
    def taps(self) -> Taps:
        return Taps()

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return torch.stack([CrossEntropy().count(teacher, part) for part in _split(batch)])

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        parts = [CrossEntropy()(student, teacher, part) for part in _split(batch)]
        weights = (self.answers, 1 - self.answers)
        total = torch.stack([weight * part.total for weight, part in zip(weights, parts, strict=True)])
        return LossSum(total, torch.stack([part.count for part in parts]))


def _split(batch: Batch) -> tuple[Batch, Batch]:
    """The batch with only the answers labelled, and with only the rationales."""
    if batch.parts is None:
        raise UsageError(
            "StepByStep has to know which rows are answers (0) and which are rationales (1): give the batch `parts`."
        )
    if not torch.isin(batch.parts, torch.tensor([0, 1], device=batch.parts.device)).all():
        raise UsageError(f"The parts of a batch are 0 (answers) and 1 (rationales); there is {batch.parts.max()}.")
    mine = batch.parts.unsqueeze(1) == torch.tensor([[0]], device=batch.parts.device)
    return (
        replace(batch, labels=batch.labels.masked_fill(~mine, -1)),
        replace(batch, labels=batch.labels.masked_fill(mine, -1)),
    )
