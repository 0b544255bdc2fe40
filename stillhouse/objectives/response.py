"""Match the answers: the teacher's words, or the bets it spreads over the labels or the vocabulary.

One convention of temperature: the divergence is taken between softmax(z / T) and multiplied by T squared, so that
gradients keep their scale; the reported value is the one whose gradient is taken.

Dense teachers are compared label by label over the labels both have (vocabularies padded to other lengths are
cut to the shorter). A teacher that tells its likeliest k is compared over those and one bin for the rest, which is
never more than the whole divergence; one that tells draws gives cross-entropy and an unbiased gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import everywhere, flat
from stillhouse.objectives import divergences as maths
from stillhouse.objectives import slopes
from stillhouse.objectives.combine import Composable, Response
from stillhouse.objectives.cost import Cost, Known, answers_of, between, common, labelled
from stillhouse.objectives.objective import LossSum, Taps
from stillhouse.signals.kinds import Kind

__all__ = [
    "DIST",
    "CrossEntropy",
    "DecoupledKD",
    "ForwardKL",
    "JensenShannon",
    "LogitMSE",
    "ReverseKL",
    "SkewedForwardKL",
    "SkewedReverseKL",
    "StandardisedKL",
    "TotalVariation",
]


@final
@dataclass(frozen=True)
class CrossEntropy(Response):
    """-log q(teacher's answer) at every answered position; with `smoothing` s, mixed with s of a flat answer.

    Zero when the student is certain of the teacher's answer (never, smoothed). Choose it when only words are
    known; smoothed, as the control that any soft teacher has to beat (arxiv.org/abs/1906.02629).
    """

    smoothing: float = 0.0

    def __post_init__(self) -> None:
        _check("CrossEntropy's smoothing", self.smoothing, 0, 1, or_least=True)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.WORDS})

    @property
    def cost(self) -> Cost:
        return labelled(self.smoothing)


@final
@dataclass(frozen=True)
class ForwardKL(Response):
    """T^2 KL(teacher || student) of softmax(z / T), at every position the teacher told about.

    Zero only when the two distributions agree. Choose it when the teacher tells how sure it is of each
    label: its second choices teach more than its first alone. Of draws it is the cross-entropy with them,
    whose gradient is unbiased. Hinton, Vinyals & Dean 2015, arxiv.org/abs/1503.02531; draws:
    arxiv.org/abs/2503.16870.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check("ForwardKL's temperature", self.temperature, 0)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.SOFT})

    @property
    def cost(self) -> Cost:
        return between(maths.forward_kl, slopes.forward_kl, self.temperature, draws=True)


@final
@dataclass(frozen=True)
class ReverseKL(Response):
    """T^2 KL(student || teacher) of softmax(z / T).

    Zero only when the two agree. Choose it for students too small to cover all the teacher says: they settle on
    what the teacher finds likely instead of spreading over everything. Gu et al. 2023, arxiv.org/abs/2306.08543.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check("ReverseKL's temperature", self.temperature, 0)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.TOP})

    @property
    def cost(self) -> Cost:
        return between(maths.reverse_kl, slopes.reverse_kl, self.temperature)


@final
@dataclass(frozen=True)
class JensenShannon(Response):
    """T^2 (beta KL(p || m) + (1 - beta) KL(q || m)), m = beta p + (1 - beta) q, p the teacher's.

    Zero only when the two agree, and never more than T^2 H(beta): a student far away is not torn. Choose it between
    the two KLs; beta near 0 behaves like beta times the forward one. arxiv.org/abs/2306.13649.
    """

    beta: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check("JensenShannon's temperature", self.temperature, 0)
        _check("JensenShannon's beta", self.beta, 0, 1)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.TOP})

    @property
    def cost(self) -> Cost:
        return between(maths.jensen_shannon, slopes.jensen_shannon, self.temperature, self.beta)


@final
@dataclass(frozen=True)
class SkewedForwardKL(Response):
    """T^2 KL(p || alpha p + (1 - alpha) q), p the teacher's.

    Zero only when the two agree, at most -T^2 ln alpha: smoother than forward KL where the student gives almost
    nothing to what the teacher says. Ko et al. 2024, arxiv.org/abs/2402.03898.
    """

    alpha: float = 0.1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check("SkewedForwardKL's temperature", self.temperature, 0)
        _check("SkewedForwardKL's alpha", self.alpha, 0, 1)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.TOP})

    @property
    def cost(self) -> Cost:
        return between(maths.skewed_forward_kl, slopes.skewed_forward_kl, self.temperature, self.alpha)


@final
@dataclass(frozen=True)
class SkewedReverseKL(Response):
    """T^2 KL(q || (1 - alpha) p + alpha q), q the student's.

    Zero only when the two agree, at most -T^2 ln alpha. Choose it for text the student wrote itself.
    Ko et al. 2024, arxiv.org/abs/2402.03898.
    """

    alpha: float = 0.1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check("SkewedReverseKL's temperature", self.temperature, 0)
        _check("SkewedReverseKL's alpha", self.alpha, 0, 1)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.TOP})

    @property
    def cost(self) -> Cost:
        return between(maths.skewed_reverse_kl, slopes.skewed_reverse_kl, self.temperature, self.alpha)


@final
@dataclass(frozen=True)
class TotalVariation(Response):
    """T^2 half the sum of |p - q| of softmax(z / T).

    Zero only when the two agree, at most T^2. Choose it when the teacher is noisy: no single label can pull hard.
    Wen et al. 2023, arxiv.org/abs/2307.15190.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check("TotalVariation's temperature", self.temperature, 0)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.TOP})

    @property
    def cost(self) -> Cost:
        return between(maths.total_variation, slopes.total_variation, self.temperature)


@final
@dataclass(frozen=True)
class LogitMSE(Response):
    """Mean over labels of (z^s - z^t)^2.

    Zero only when the logits are the same, scale and level too. Choose it for few labels and a teacher whose margins
    matter. Ba & Caruana 2014, arxiv.org/abs/1312.6184.
    """

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.LOGITS})

    @property
    def cost(self) -> Cost:
        return Cost(lambda logits, known: maths.squared_error(*common(logits, known)))


@final
@dataclass(frozen=True)
class DecoupledKD(Response):
    """T^2 (alpha TCKD + beta NCKD): how sure the teacher is of its answer, and what it thinks of the others.

    Zero only when the two agree. Choose it over ForwardKL when the teacher is so sure that its other bets hardly
    count there: beta weighs them up. For more than two labels. arxiv.org/abs/2203.08679.
    """

    alpha: float = 1.0
    beta: float = 2.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check("DecoupledKD's temperature", self.temperature, 0)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.LOGITS, Kind.WORDS})

    @property
    def cost(self) -> Cost:
        def nats(logits: Tensor, known: Known) -> Tensor:
            student, teacher = (maths.log_softmax(side, self.temperature) for side in common(logits, known))
            apart = maths.decoupled(student, teacher, answers_of(known), self.alpha, self.beta)
            return self.temperature**2 * apart

        return Cost(nats)


@final
@dataclass(frozen=True)
class StandardisedKL(Response):
    """T^2 KL(teacher || student) of logits brought to mean 0 and deviation 1 first.

    Zero when the logits agree up to scale and level. Choose it when student and teacher cannot have logits of one
    size; the student's confidence means nothing afterwards, so calibrate it. arxiv.org/abs/2403.01427.
    """

    temperature: float = 2.0

    def __post_init__(self) -> None:
        _check("StandardisedKL's temperature", self.temperature, 0)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.LOGITS})

    @property
    def cost(self) -> Cost:
        def nats(logits: Tensor, known: Known) -> Tensor:
            sides = (maths.standardise(side) for side in common(logits, known))
            student, teacher = (maths.log_softmax(side, self.temperature) for side in sides)
            return self.temperature**2 * maths.forward_kl(student, teacher)

        return Cost(nats)


@final
@dataclass(frozen=True)
class DIST(Composable):
    """beta (1 - rho over each row's labels) + gamma (1 - rho over each label's rows), rho Pearson's, of softmax(z / T).

    Zero when rows and columns are linear in each other, so a student need not reach the teacher's sureness. Choose it
    for teachers much larger than the student. The columns are those of the positions at hand, so halves of a batch do
    not add up to the whole, and it needs a few rows: of one alone every column is flat and counts as alike, so it
    costs what its rows do. Huang et al. 2022, arxiv.org/abs/2205.10536.
    """

    beta: float = 1.0
    gamma: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check("DIST's temperature", self.temperature, 0)

    @property
    def needs(self) -> frozenset[Kind]:
        return frozenset({Kind.LOGITS})

    @property
    def taps(self) -> Taps:
        return Taps()

    def count(self, teacher: TeacherOutput, batch: Batch) -> Tensor:
        return _told(teacher).sum()

    def learns(self, student: StudentOutput, teacher: TeacherOutput) -> list[nn.Module]:
        return []

    def __call__(self, student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> LossSum:
        if student.scores is None or teacher.scores is None:
            raise UsageError("DIST compares the scores of labels; one of the two models gives none.")
        where = _told(teacher)
        index = where.flatten().nonzero().squeeze(-1)
        said = StudentOutput(flat(student.scores)[index]).logits
        sides = common(said, Known(flat(teacher.scores)[index]))
        q, p = (maths.log_softmax(side, self.temperature).exp() for side in sides)
        rows = (1 - maths.pearson(q, p)).sum()
        columns = (1 - maths.pearson(q.T, p.T)).mean() * len(index) if len(index) else rows
        return LossSum(self.beta * rows + self.gamma * columns, where.sum())


def _told(teacher: TeacherOutput) -> Tensor:
    """Where the teacher told, `[rows, positions]`."""
    if teacher.told is not None:
        return teacher.told
    if teacher.scores is None:
        raise UsageError("This objective needs a teacher that tells how sure it is; this one told only words.")
    return everywhere(teacher.scores)


def _check(what: str, value: float, low: float, high: float = float("inf"), or_least: bool = False) -> None:
    if not (low < value < high or (or_least and value == low)):
        upper = "" if high == float("inf") else f" and below {high:g}"
        raise UsageError(f"{what} must be a number above {low:g}{upper}; it is {value}.")
