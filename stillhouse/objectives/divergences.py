"""Pure, unreduced maths: distances between distributions at each position.

Every function takes log-probabilities `[..., labels]` and gives nats `[...]`.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["cross_entropy", "forward_kl", "log_softmax"]


def log_softmax(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """log softmax(z / T) over the last axis, in float32: logits `[..., labels]` -> log-probs `[..., labels]`."""
    return functional.log_softmax(logits.float() / temperature, dim=-1)


def forward_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) = sum_i p_i (log p_i - log q_i): log-probs `[..., labels]` -> nats `[...]`.

    Zero only when the two agree. Hinton, Vinyals & Dean 2015, arxiv.org/abs/1503.02531.
    """
    return (teacher.exp() * (teacher - student)).sum(-1)


def cross_entropy(student: Tensor, labels: Tensor) -> Tensor:
    """-log q_label: log-probs `[..., labels]` and label indices `[...]` -> nats `[...]`."""
    return -student.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
