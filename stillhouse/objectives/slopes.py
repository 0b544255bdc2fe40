"""The main distances of `divergences.py` together with their slopes along the student's logits, in closed form.

Every function takes log-probabilities `[..., labels]`, student first, and gives nats `[...]` and d nats / d z
`[..., labels]` for log q = log softmax(z): what automatic differentiation would give, in a third of the passes over
the labels. p is the teacher's distribution, q the student's. Every slope adds up to zero over the labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stillhouse.objectives.divergences import LEAST

__all__ = [
    "cross_entropy",
    "forward_kl",
    "jensen_shannon",
    "reverse_kl",
    "skewed_forward_kl",
    "skewed_reverse_kl",
    "soft_cross_entropy",
    "total_variation",
]


def forward_kl(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """KL(p || q); q - p."""
    teacher = teacher.clamp(min=LEAST)
    p = teacher.exp()
    return (p * (teacher - student)).sum(-1), student.exp().sub_(p)


def reverse_kl(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """KL(q || p); q (log q / p - KL(q || p))."""
    q, apart = student.exp(), student - teacher.clamp(min=LEAST)
    nats = (q * apart).sum(-1)
    return nats, q.mul_(apart.sub_(nats.unsqueeze(-1)))


def jensen_shannon(student: Tensor, teacher: Tensor, beta: float = 0.5) -> tuple[Tensor, Tensor]:
    """beta KL(p || m) + (1 - beta) KL(q || m) with m = beta p + (1 - beta) q; (1 - beta) q (log q / m - KL(q || m))."""
    teacher = teacher.clamp(min=LEAST)
    p, q = teacher.exp(), student.exp()
    middle = _log_mixed(p, q, beta)
    apart = student - middle
    of_student = (q * apart).sum(-1)
    nats = beta * (p * (teacher - middle)).sum(-1) + (1 - beta) * of_student
    return nats, q.mul_(apart.sub_(of_student.unsqueeze(-1))).mul_(1 - beta)


def skewed_forward_kl(student: Tensor, teacher: Tensor, alpha: float = 0.1) -> tuple[Tensor, Tensor]:
    """KL(p || m) with m = alpha p + (1 - alpha) q; (1 - alpha) q (sum_j q_j p_j / m_j - p / m)."""
    teacher = teacher.clamp(min=LEAST)
    p, q = teacher.exp(), student.exp()
    middle = _log_mixed(p, q, alpha)
    nats = (p * (teacher - middle)).sum(-1)
    return nats, _along_logits((teacher - middle).exp_().mul_(q).mul_(alpha - 1), q)


def skewed_reverse_kl(student: Tensor, teacher: Tensor, alpha: float = 0.1) -> tuple[Tensor, Tensor]:
    """KL(q || m) with m = (1 - alpha) p + alpha q; g - q sum_j g_j with g = q (log q / m + 1 - alpha q / m)."""
    p, q = teacher.exp(), student.exp()
    apart = student - _log_mixed(q, p, alpha)
    nats = (q * apart).sum(-1)
    return nats, _along_logits(apart.exp().mul_(-alpha).add_(apart).add_(1).mul_(q), q)


def total_variation(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """0.5 sum_i |q_i - p_i|; g - q sum_j g_j with g = 0.5 q sign(q - p)."""
    q = student.exp()
    apart = q - teacher.exp()
    return 0.5 * apart.abs().sum(-1), _along_logits(apart.sign_().mul_(q).mul_(0.5), q)


def cross_entropy(student: Tensor, labels: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """(1 - s) (-log q_label) + s mean_i(-log q_i) over the n labels that exist; q_i - (1 - s) [i is label] - s / n."""
    index = labels.unsqueeze(-1)
    nats, slope = -student.gather(-1, index).squeeze(-1), student.exp()
    share = torch.ones_like(index, dtype=slope.dtype)
    if smoothing:
        exists = student > LEAST / 2
        number = exists.sum(-1, keepdim=True)
        nats = (1 - smoothing) * nats - smoothing * student.where(exists, 0).sum(-1) / number.squeeze(-1)
        slope -= exists.to(slope.dtype).mul_(smoothing).div_(number)
    return nats, slope.scatter_add_(-1, index, share * (smoothing - 1))


def soft_cross_entropy(student: Tensor, ids: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """-sum_i t_i log q_i of shares t `[..., m]` of the labels `ids` `[..., m]`; q sum_i t_i - t."""
    nats = -(shares * student.gather(-1, ids)).sum(-1)
    return nats, student.exp().mul_(shares.sum(-1, keepdim=True)).scatter_add_(-1, ids, -shares)


def _log_mixed(first: Tensor, second: Tensor, share: float) -> Tensor:
    """log(share a + (1 - share) b) of two probabilities, of zeros that of the smallest number there is."""
    tiny = torch.finfo(first.dtype).tiny
    return torch.add(first * share, second, alpha=1 - share).clamp_(min=tiny).log_()


def _along_logits(pull: Tensor, q: Tensor) -> Tensor:
    """From the slope along log q, each taken alone, to the slope along the logits: g - q sum_j g_j."""
    return pull.addcmul_(q, pull.sum(-1, keepdim=True), value=-1)
