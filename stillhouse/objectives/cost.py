"""Cost: what positions cost as a function of the student's logits, for every form a teacher's scores come in.

Dense scores are compared label by label over the labels that both sides have: vocabularies padded to other lengths
are cut to the shorter. The likeliest few are compared over those and one bin for the rest; draws by cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.errors import UsageError
from stillhouse.models.scores import Mixture, Projection, Sampled, Scores, TopK
from stillhouse.objectives import divergences as maths
from stillhouse.objectives import slopes

__all__ = ["Cost", "Known", "answers_of", "between", "common", "dense", "labelled"]

Divergence = Callable[[Tensor, Tensor], Tensor]
"""Log-probs of student and teacher `[n, labels]` -> nats `[n]`."""
Steep = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""The same -> nats `[n]` and their slope along the student's logits `[n, labels]`."""


@final
@dataclass(frozen=True)
class Known:
    """What is known about positions in a row: the teacher's scores `[n, ...]` and answers `[n]`, -1 for none."""

    scores: Scores | None = None
    answers: Tensor | None = None

    def __getitem__(self, part: slice | Tensor) -> Known:
        scores = None if self.scores is None else self.scores[part]
        return Known(scores, None if self.answers is None else self.answers[part])


@final
@dataclass(frozen=True)
class Cost:
    """What positions cost: the student's logits `[n, labels]`, and what is known there, -> nats `[n]`."""

    nats: Callable[[Tensor, Known], Tensor]
    """Differentiable."""
    closed: Callable[[Tensor, Known], tuple[Tensor, Tensor]] | None = None
    """The same with its slope `[n, labels]` along the logits in closed form, where that is at hand."""

    def with_slope(self, logits: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """The cost and its slope along the logits, in closed form or by automatic differentiation."""
        if self.closed is not None:
            return self.closed(logits, known)
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            nats = self.nats(leaf, known)
            return nats.detach(), torch.autograd.grad(nats.sum(), leaf)[0]


def between(divergence: Divergence, steep: Steep, heat: float, draws: bool = False) -> Cost:
    """T^2 times a divergence of softmax(z / T), over the labels or bins that the teacher's form allows.

    With `draws` it is forward KL, for which draws stand in by their cross-entropy: on average the same gradient.
    """

    def nats(logits: Tensor, known: Known) -> Tensor:
        if isinstance(known.scores, Sampled):
            return slopes.soft_cross_entropy(maths.log_softmax(logits), *_shares(known.scores, logits, heat, draws))[0]
        if isinstance(known.scores, TopK):
            return heat**2 * divergence(*_Bins.of(logits, known.scores, heat).sides())
        return heat**2 * divergence(*_sides(logits, known, heat))

    def closed(logits: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        if isinstance(known.scores, Sampled):
            return slopes.soft_cross_entropy(maths.log_softmax(logits), *_shares(known.scores, logits, heat, draws))
        if isinstance(known.scores, TopK):
            bins = _Bins.of(logits, known.scores, heat)
            said, told = bins.sides()
            value, slope = steep(said, told)
            slope = bins.spread(slope, said[..., -1:])
        else:
            value, slope = steep(*_sides(logits, known, heat))
            slope = _as_wide(slope, logits)
        return (value, slope) if heat == 1 else (heat**2 * value, slope.mul_(heat))

    return Cost(nats, closed)


def labelled(smoothing: float) -> Cost:
    """Cross-entropy with the answers, over all the student's labels."""

    def nats(logits: Tensor, known: Known) -> Tensor:
        return maths.cross_entropy(maths.log_softmax(logits), answers_of(known), smoothing)

    def closed(logits: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        return slopes.cross_entropy(maths.log_softmax(logits), answers_of(known), smoothing)

    return Cost(nats, closed)


def dense(scores: Scores | None) -> Tensor:
    """The teacher's logits of some positions, `[n, labels]`, through which no gradient goes."""
    if isinstance(scores, Tensor):
        return scores.detach()
    if isinstance(scores, Projection | Mixture):
        with torch.no_grad():
            return scores.logits()
    if scores is None:
        raise UsageError("This objective needs a teacher that tells how sure it is; this one told only words.")
    raise UsageError("This objective needs a score for every label; this teacher told only its likeliest or draws.")


def answers_of(known: Known) -> Tensor:
    """The answers `[n]`."""
    if known.answers is None:
        raise UsageError("This objective needs answers; there are none.")
    return known.answers


def common(logits: Tensor, known: Known) -> tuple[Tensor, Tensor]:
    """Logits of student and teacher over the labels that both have, in float32 or better."""
    told = dense(known.scores)
    labels = min(logits.shape[-1], told.shape[-1])
    return _wide(logits[..., :labels]), _wide(told[..., :labels])


def _sides(logits: Tensor, known: Known, heat: float) -> tuple[Tensor, Tensor]:
    """Log-probs of student and teacher over the labels that both have."""
    student, teacher = (maths.log_softmax(side, heat) for side in common(logits, known))
    return student, teacher


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _as_wide(slope: Tensor, logits: Tensor) -> Tensor:
    """With zeros for the labels that were not compared."""
    lacking = logits.shape[-1] - slope.shape[-1]
    return functional.pad(slope, (0, lacking)) if lacking else slope


@final
@dataclass(frozen=True)
class _Bins:
    """The teacher's likeliest labels and all the rest in one bin, on both sides."""

    all: Tensor
    """The student's log-probs of every label `[n, labels]`."""
    ids: Tensor
    """`[n, k]`."""
    missing: Tensor
    """Where there is no such label, True `[n, k]`."""
    told: Tensor
    """The teacher's log-probs `[n, k]`."""

    @classmethod
    def of(cls, logits: Tensor, known: TopK, heat: float) -> _Bins:
        told = _wide(known.log_probs)
        if heat != 1:
            if heat not in known.shifts:
                kept = ", ".join(f"{kept:g}" for kept in sorted({1.0, *known.shifts}))
                raise UsageError(f"These teacher signals were kept for temperatures {kept}, not {heat:g}.")
            told = told / heat + known.shifts[heat].to(told.dtype).unsqueeze(-1)
        missing = torch.isneginf(known.log_probs) | (known.ids >= logits.shape[-1])
        return cls(maths.log_softmax(logits, heat), known.ids.masked_fill(missing, 0), missing, told)

    def sides(self) -> tuple[Tensor, Tensor]:
        """Log-probs of student and teacher `[n, k + 1]`."""
        said, told = (
            part.masked_fill(self.missing, maths.LEAST) for part in (self.all.gather(-1, self.ids), self.told)
        )
        return maths.with_rest(said), maths.with_rest(told)

    def spread(self, slope: Tensor, rest: Tensor) -> Tensor:
        """From the slope along the bins `[n, k + 1]` to that along the logits: the rest moves as a block.

        `rest` `[n, 1]` is the student's log-prob of the last bin.
        """
        found = self.all.exp().mul_(slope[..., -1:] * torch.exp(-rest))
        own = (slope[..., :-1] - found.gather(-1, self.ids)).masked_fill(self.missing, 0)
        return found.scatter_add_(-1, self.ids, own)


def _shares(known: Sampled, logits: Tensor, heat: float, draws: bool) -> tuple[Tensor, Tensor]:
    """The labels drawn and the share of each among those that the student has, `[n, m]` each."""
    if not draws:
        raise UsageError("Draws from a teacher only serve ForwardKL and CrossEntropy; this objective needs log-probs.")
    if heat != 1:
        raise UsageError(f"Draws from a teacher are taken at temperature 1; ForwardKL was given {heat:g}.")
    missing = known.ids >= logits.shape[-1]
    counts = known.counts.to(_wide(logits[:0]).dtype).masked_fill(missing, 0)
    return known.ids.masked_fill(missing, 0), counts / counts.sum(-1, keepdim=True).clamp(min=1)
