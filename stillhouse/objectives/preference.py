"""Learn which of two answers is better: from people's judgements, or a teacher's.

The two answers of a sample lie in neighbouring rows of the batch, the better one first: rows 2i and 2i + 1 have the
same number in `batch.rows`. What counts is a pair, so halves of a batch that split no pair add up to the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection
from stillhouse.objectives.combine import Composable
from stillhouse.objectives.likelihood import log_likelihoods
from stillhouse.objectives.objective import LossSum, Taps
from stillhouse.signals.kinds import Kind

__all__ = ["DPO", "SimPO"]


@final
@dataclass(frozen=True)
class DPO(Composable):
    """-(1 - s) ln sigma(m) - s ln sigma(-m), m = beta (ln q(y+)/p(y+) - ln q(y-)/p(y-)), in nats per pair.

    q is the student, p its reference: the teacher's word on whole answers, `TeacherOutput.log_probs` `[rows]`, or its
    scores for every label. The reference is as a rule the student as it was before. s is `smoothing`, the share of
    judgements that are taken to be wrong. ln 2 at the reference; falls to zero as the better answer pulls away (with
    smoothing it has its least value at m = ln((1 - s) / s)). Choose it after the student has learnt to answer, when
    answers can be ranked more easily than written. Rafailov et al. 2023, arxiv.org/abs/2305.18290.
    """

    beta: float = 0.1
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        _check("DPO's beta", self.beta)
        if not 0 <= self.smoothing < 0.5:
            raise UsageError(f"DPO's smoothing must be at least 0 and below 0.5; it is {self.smoothing}.")

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.WORDS, Kind.PREFERENCE, Kind.LIKELIHOOD})

    @property
    def taps(self) -> Taps:
        return Taps()

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return _pairs(batch)

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        count = _pairs(batch)
        said = log_likelihoods(student.scores, batch.labels).sum(1)
        gained = said - _reference(teacher, batch).to(said.dtype)
        margin = self.beta * (gained[0::2] - gained[1::2])
        right, wrong = functional.logsigmoid(margin), functional.logsigmoid(-margin)
        return LossSum(-((1 - self.smoothing) * right + self.smoothing * wrong).sum(), count)


@final
@dataclass(frozen=True)
class SimPO(Composable):
    """-ln sigma(beta (ln q(y+) / |y+| - ln q(y-) / |y-|) - margin), in nats per pair, |y| the tokens of an answer.

    Never quite zero; it falls as the better answer becomes likelier per token by more than margin / beta. Choose it
    over DPO when there is no reference to ask, or long answers win only by their length.
    Meng, Xia & Chen 2024, arxiv.org/abs/2405.14734.
    """

    beta: float = 2.0
    margin: float = 1.0

    def __post_init__(self) -> None:
        _check("SimPO's beta", self.beta)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.WORDS, Kind.PREFERENCE})

    @property
    def taps(self) -> Taps:
        return Taps()

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return _pairs(batch)

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        count = _pairs(batch)
        tokens = (batch.labels >= 0).sum(1).clamp(min=1)
        each = log_likelihoods(student.scores, batch.labels).sum(1) / tokens
        margin = self.beta * (each[0::2] - each[1::2]) - self.margin
        return LossSum(-functional.logsigmoid(margin).sum(), count)


def _pairs(batch: Batch) -> Tensor:
    """How many pairs a batch holds, checked to lie side by side."""
    rows = batch.rows
    if len(rows) % 2 or not torch.equal(rows[0::2], rows[1::2]):
        raise UsageError(
            "Preferences are pairs of neighbouring rows of one sample, the better answer first, so `batch.rows` must "
            f"read like 7, 7, 3, 3; it reads {', '.join(str(row) for row in rows[:8].tolist())}."
        )
    return torch.tensor(len(rows) // 2, device=rows.device)


def _reference(teacher: TeacherOutput, batch: Batch) -> Tensor:
    """ln p of each row's answer by the reference, `[rows]`."""
    if teacher.log_probs is not None:
        return teacher.log_probs.detach()
    if isinstance(teacher.scores, Tensor | Projection):
        with torch.no_grad():
            return log_likelihoods(teacher.scores, batch.labels).sum(1)
    raise UsageError(
        "DPO measures against a reference: give `TeacherOutput.log_probs`, how likely it finds each answer, or its "
        "scores for every label; or choose SimPO, which needs none."
    )


def _check(what: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise UsageError(f"{what} must be a number above 0; it is {value}.")
