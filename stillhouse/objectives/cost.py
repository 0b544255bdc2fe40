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

__all__ = ["Bins", "Cost", "Formula", "Known", "answers_of", "between", "common", "dense", "drawn", "labelled"]

Divergence = Callable[..., Tensor]
"""Log-probs of student and teacher `[n, labels]`, and a share where it takes one, -> nats `[n]`."""
Steep = Callable[..., tuple[Tensor, Tensor]]
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
class Formula:
    """What a cost computes, as data: a function of `slopes.py`, the temperature, the share if it takes one."""

    steep: Steep
    heat: float = 1.0
    share: float | None = None
    draws: bool = False
    """Whether draws may stand in for the teacher's distribution."""

    @property
    def kind(self) -> str:
        """The function's name."""
        return getattr(self.steep, "__name__", "")

    @property
    def shares(self) -> tuple[float, ...]:
        """What the function takes beside log-probs."""
        return () if self.share is None else (self.share,)


@final
@dataclass(frozen=True)
class Cost:
    """What positions cost: the student's logits `[n, labels]`, and what is known there, -> nats `[n]`."""

    nats: Callable[[Tensor, Known], Tensor]
    """Differentiable."""
    closed: Callable[[Tensor, Known], tuple[Tensor, Tensor]] | None = None
    """The same with its slope `[n, labels]` along the logits in closed form, where that is at hand."""
    formula: Formula | None = None
    """What is computed, where a function of `slopes.py` computes it."""

    def with_slope(self, logits: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """The cost and its slope along the logits, in closed form or by automatic differentiation."""
        if self.closed is not None:
            return self.closed(logits, known)
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            nats = self.nats(leaf, known)
            return nats.detach(), torch.autograd.grad(nats.sum(), leaf)[0]


def between(divergence: Divergence, steep: Steep, heat: float, share: float | None = None, draws: bool = False) -> Cost:
    """T^2 times a divergence of softmax(z / T), over the labels or bins that the teacher's form allows.

    `share` is the third argument of those that take one. With `draws` it is forward KL, for which draws stand in by
    their cross-entropy: on average the same gradient.
    """
    formula = Formula(steep, heat, share, draws)

    def nats(logits: Tensor, known: Known) -> Tensor:
        if isinstance(known.scores, Sampled):
            return slopes.soft_cross_entropy(maths.log_softmax(logits), *drawn(known.scores, logits, formula))[0]
        if isinstance(known.scores, TopK):
            bins, said = _binned(logits, known.scores, heat)
            return heat**2 * divergence(*bins.sides(said.gather(-1, bins.ids)), *formula.shares)
        return heat**2 * divergence(*_sides(logits, known, heat), *formula.shares)

    def closed(logits: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        if isinstance(known.scores, Sampled):
            return slopes.soft_cross_entropy(maths.log_softmax(logits), *drawn(known.scores, logits, formula))
        if isinstance(known.scores, TopK):
            bins, said = _binned(logits, known.scores, heat)
            sides = bins.sides(said.gather(-1, bins.ids))
            value, slope = steep(*sides, *formula.shares)
            slope = bins.spread(slope, bins.rest(slope, sides[0]), said)
        else:
            value, slope = steep(*_sides(logits, known, heat), *formula.shares)
            slope = _as_wide(slope, logits)
        return (value, slope) if heat == 1 else (heat**2 * value, slope.mul_(heat))

    return Cost(nats, closed, formula)


def labelled(smoothing: float) -> Cost:
    """Cross-entropy with the answers, over all the student's labels."""

    def nats(logits: Tensor, known: Known) -> Tensor:
        return maths.cross_entropy(maths.log_softmax(logits), answers_of(known), smoothing)

    def closed(logits: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        return slopes.cross_entropy(maths.log_softmax(logits), answers_of(known), smoothing)

    return Cost(nats, closed, Formula(slopes.cross_entropy, share=smoothing))


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
class Bins:
    """The teacher's likeliest labels, and all the rest in one bin."""

    ids: Tensor
    """`[n, k]`."""
    missing: Tensor
    """Where there is no such label, True `[n, k]`."""
    told: Tensor
    """The teacher's log-probs `[n, k]`."""

    @classmethod
    def of(cls, known: TopK, labels: int, heat: float) -> Bins:
        """Among a student's `labels`, at a temperature."""
        told = _wide(known.log_probs)
        if heat != 1:
            if heat not in known.shifts:
                kept = ", ".join(f"{kept:g}" for kept in sorted({1.0, *known.shifts}))
                raise UsageError(f"These teacher signals were kept for temperatures {kept}, not {heat:g}.")
            told = told / heat + known.shifts[heat].to(told.dtype).unsqueeze(-1)
        missing = torch.isneginf(known.log_probs) | (known.ids >= labels)
        return cls(known.ids.masked_fill(missing, 0), missing, told)

    def sides(self, said: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probs of the bins on both sides `[n, k + 1]`, given the student's of these labels `[n, k]`."""
        said, told = (part.masked_fill(self.missing, maths.LEAST) for part in (said, self.told))
        return maths.with_rest(said), maths.with_rest(told)

    def rest(self, slope: Tensor, said: Tensor) -> Tensor:
        """The slope along the logits of the rest, as a multiple of q `[n, 1]`: it moves as a block.

        `slope` and the student's log-probs are those of the bins, `[n, k + 1]`.
        """
        return slope[..., -1:] * torch.exp(-said[..., -1:])

    def own(self, slope: Tensor, rest: Tensor, said: Tensor) -> Tensor:
        """What these labels' own slope is beyond that of the rest, `[n, k]`, given their log-probs."""
        return (slope[..., :-1] - rest * said.exp()).masked_fill(self.missing, 0)

    def spread(self, slope: Tensor, rest: Tensor, said: Tensor) -> Tensor:
        """From the slope along the bins to that along the logits, given the log-probs of all labels `[n, labels]`."""
        own = self.own(slope, rest, said.gather(-1, self.ids))
        return said.exp().mul_(rest).scatter_add_(-1, self.ids, own)


def _binned(logits: Tensor, known: TopK, heat: float) -> tuple[Bins, Tensor]:
    """The bins, and the student's log-probs of every label."""
    return Bins.of(known, logits.shape[-1], heat), maths.log_softmax(logits, heat)


def drawn(known: Sampled, logits: Tensor, formula: Formula) -> tuple[Tensor, Tensor]:
    """The labels drawn and the share of each among those that the student has, `[n, m]` each."""
    if not formula.draws:
        raise UsageError("Draws from a teacher only serve ForwardKL and CrossEntropy; this objective needs log-probs.")
    if formula.heat != 1:
        raise UsageError(f"Draws from a teacher are taken at temperature 1; ForwardKL was given {formula.heat:g}.")
    missing = known.ids >= logits.shape[-1]
    counts = known.counts.to(_wide(logits[:0]).dtype).masked_fill(missing, 0)
    return known.ids.masked_fill(missing, 0), counts / counts.sum(-1, keepdim=True).clamp(min=1)
