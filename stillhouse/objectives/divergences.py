"""Pure, unreduced maths: distances between distributions at each position.

Every function takes log-probabilities `[..., labels]`, student first, and gives nats `[...]`. A label the
teacher rules out may be minus infinity or any very negative number.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "LEAST",
    "NEVER",
    "cross_entropy",
    "decoupled",
    "forward_kl",
    "jensen_shannon",
    "log_softmax",
    "pearson",
    "reverse_kl",
    "skewed_forward_kl",
    "skewed_reverse_kl",
    "squared_error",
    "standardise",
    "total_variation",
    "with_rest",
]

LEAST = -1e4
"""Log-probabilities are not taken below this: exp is zero there, and zero times it is still zero."""

NEVER = -1e30
"""The log-probability of a label whose logit is minus infinity: finite, so that zero times it is zero."""


def log_softmax(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """log softmax(z / T) over the last axis, in float32 or better: logits -> log-probs, both `[..., labels]`.

    Labels at minus infinity, such as those that pad a vocabulary, get no probability and no gradient.
    """
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return functional.log_softmax(wide if temperature == 1 else wide / temperature, dim=-1).clamp(min=NEVER)


def forward_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(p || q) = sum_i p_i (log p_i - log q_i), p the teacher's.

    Zero only when the two agree. Hinton, Vinyals & Dean 2015, arxiv.org/abs/1503.02531.
    """
    teacher = teacher.clamp(min=LEAST)
    return (teacher.exp() * (teacher - student)).sum(-1)


def reverse_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(q || p) = sum_i q_i (log q_i - log p_i), q the student's. Gu et al. 2023, arxiv.org/abs/2306.08543."""
    return (student.exp() * (student - teacher.clamp(min=LEAST))).sum(-1)


def jensen_shannon(student: Tensor, teacher: Tensor, beta: float = 0.5) -> Tensor:
    """beta KL(p || m) + (1 - beta) KL(q || m) with m = beta p + (1 - beta) q, 0 < beta < 1.

    At most H(beta) = -beta ln beta - (1 - beta) ln(1 - beta); JSD / beta tends to KL(p || q) as beta -> 0.
    Agarwal et al. 2023, arxiv.org/abs/2306.13649.
    """
    teacher = teacher.clamp(min=LEAST)
    middle = _mixed(teacher, student, beta)
    return beta * forward_kl(middle, teacher) + (1 - beta) * forward_kl(middle, student)


def skewed_forward_kl(student: Tensor, teacher: Tensor, alpha: float = 0.1) -> Tensor:
    """KL(p || alpha p + (1 - alpha) q), at most -ln alpha. Ko et al. 2024, arxiv.org/abs/2402.03898."""
    teacher = teacher.clamp(min=LEAST)
    return forward_kl(_mixed(teacher, student, alpha), teacher)


def skewed_reverse_kl(student: Tensor, teacher: Tensor, alpha: float = 0.1) -> Tensor:
    """KL(q || (1 - alpha) p + alpha q), at most -ln alpha. Ko et al. 2024, arxiv.org/abs/2402.03898."""
    return forward_kl(_mixed(student, teacher.clamp(min=LEAST), alpha), student)


def total_variation(student: Tensor, teacher: Tensor) -> Tensor:
    """0.5 sum_i |p_i - q_i|, between 0 and 1. As a distance to distil by: arxiv.org/abs/2307.15190."""
    return 0.5 * (teacher.exp() - student.exp()).abs().sum(-1)


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """mean_i (z^s_i - z^t_i)^2 over the labels, of logits: zero when they are the same. arxiv.org/abs/1312.6184.

    Labels at minus infinity on either side are left out.
    """
    absent = student.isneginf() | teacher.isneginf()
    apart = torch.where(absent, 0, student - teacher)
    return apart.square().sum(-1) / (~absent).sum(-1).clamp(min=1)


def cross_entropy(student: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """-log q_label: log-probs `[..., labels]` and label indices `[...]` -> nats `[...]`.

    With smoothing s: (1 - s) (-log q_label) + s mean_i(-log q_i) over the labels that exist, those not below
    `LEAST` / 2; arxiv.org/abs/1512.00567.
    """
    nats = -student.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    if smoothing == 0:
        return nats
    exists = student > LEAST / 2
    return (1 - smoothing) * nats - smoothing * student.where(exists, 0).sum(-1) / exists.sum(-1)


def decoupled(student: Tensor, teacher: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    """alpha KL over (label, the rest) + beta KL among the rest: alpha TCKD + beta NCKD.

    KL(p || q) = TCKD + (1 - p_label) NCKD. With two labels nothing is left among the rest and NCKD is 0.
    Zhao et al. 2022, arxiv.org/abs/2203.08679.
    """
    teacher = teacher.clamp(min=LEAST)
    index = labels.unsqueeze(-1)
    rest = torch.ones_like(student, dtype=torch.bool).scatter(-1, index, False)
    target: list[Tensor] = []
    among: list[Tensor] = []
    for log_probs in (student, teacher):
        others = log_probs.masked_fill(~rest, LEAST)
        mass = others.logsumexp(-1, keepdim=True)
        target.append(torch.cat([log_probs.gather(-1, index), mass], -1))
        among.append(others - mass)
    of_rest = torch.where(rest, among[1].exp() * (among[1] - among[0]), torch.zeros_like(student)).sum(-1)
    return alpha * forward_kl(*target) + beta * of_rest


def pearson(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's correlation over the last axis: two `[..., labels]` -> `[...]` in -1..1.

    Where both are flat it is 1; where only one is, 0.
    """
    one, other = (part - part.mean(-1, keepdim=True) for part in (first, second))
    sizes = [part.square().sum(-1) for part in (one, other)]
    still = (sizes[0] < 1e-16) & (sizes[1] < 1e-16)
    return torch.where(still, 1.0, (one * other).sum(-1) / (sizes[0] * sizes[1]).clamp(min=1e-30).sqrt())


def standardise(logits: Tensor) -> Tensor:
    """(z - mean) / (std + 1e-7) over the labels that exist: the teacher's scale no longer matters.

    The standard deviation is the unbiased one. Sun et al. 2024, arxiv.org/abs/2403.01427.
    """
    wide = logits if logits.dtype == torch.float64 else logits.float()
    exists = wide > LEAST / 2
    number = exists.sum(-1, keepdim=True)
    mean = torch.where(exists, wide, 0).sum(-1, keepdim=True) / number
    apart = torch.where(exists, wide - mean, 0)
    spread = (apart.square().sum(-1, keepdim=True) / (number - 1).clamp(min=1)).clamp(min=1e-20).sqrt()
    return torch.where(exists, apart / (spread + 1e-7), LEAST)


def with_rest(log_probs: Tensor) -> Tensor:
    """One more bin for the mass these lack: log-probs `[..., k]` of some labels -> `[..., k + 1]` that add up to 1.

    log(1 - sum_i p_i) by expm1; a rest below the precision of the number type (1.2e-7 of float32) counts as that much.
    Merging bins never raises an f-divergence (data-processing inequality).
    """
    inside = log_probs.logsumexp(-1, keepdim=True).clamp(max=-torch.finfo(log_probs.dtype).eps)
    return torch.cat([log_probs, torch.log(-torch.expm1(inside))], -1)


def _mixed(first: Tensor, second: Tensor, share: float) -> Tensor:
    """log(share e^first + (1 - share) e^second)."""
    return torch.logaddexp(first + math.log(share), second + math.log1p(-share))
