"""Match the answers: the teacher's words, or the bets it spreads over the labels.

One convention of temperature: the divergence is taken between softmax(z / T) and multiplied by T squared, so that
gradients keep their scale; the reported value is the one whose gradient is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.objectives.combine import Composable
from stillhouse.objectives.divergences import cross_entropy, forward_kl, log_softmax
from stillhouse.objectives.objective import LossSum
from stillhouse.signals.kinds import Kind

__all__ = ["CrossEntropy", "ForwardKL"]


@final
@dataclass(frozen=True)
class CrossEntropy(Composable):
    """-log q(teacher's answer) at every answered position.

    Zero when the student is certain of the teacher's answer. Choose it when only words are known.
    """

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.WORDS})

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        counted = batch.labels >= 0
        nats = cross_entropy(log_softmax(student.logits[counted]), batch.labels[counted])
        return LossSum(nats.sum(), counted.sum())


@final
@dataclass(frozen=True)
class ForwardKL(Composable):
    """T^2 KL(teacher || student) of softmax(z / T), at every position the teacher told about.

    Zero only when the two distributions agree. Choose it when the teacher tells how sure it is of each
    label: its second choices teach more than its first alone. Hinton, Vinyals & Dean 2015,
    arxiv.org/abs/1503.02531.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise UsageError(f"ForwardKL's temperature must be a number above 0; it is {self.temperature}.")

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.LOGITS})

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        if teacher.logits is None or teacher.told is None:
            raise UsageError("ForwardKL needs a teacher that tells logits; this one told none.")
        nats = forward_kl(
            log_softmax(student.logits[teacher.told], self.temperature),
            log_softmax(teacher.logits[teacher.told], self.temperature),
        )
        return LossSum(nats.sum() * self.temperature**2, teacher.told.sum())
