"""Projectors: what brings a student's vectors to its teacher's width, learnt beside the student and left behind.

Each makes a module from the student's vectors `[n, width]` and the teacher's `[n, its width]` of a first batch, which
is how objectives of features ask for one: `HiddenStates({0: 0}, projector=perceptron)`. Without one they use a plain
linear layer, and none where widths agree. A projector may help even there: the student's states then need not be the
teacher's own, only hold what they hold. Chen et al. 2022, arxiv.org/abs/2210.15274.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal as kept_orthogonal

__all__ = ["fitted", "orthogonal", "perceptron"]

_RIDGE = 1e-3
"""How much of the student's mean square is added to what is inverted, so that few vectors do for many widths."""


def perceptron(student: Tensor, teacher: Tensor) -> nn.Module:
    """Two linear layers with a GELU between them, as wide inside as the teacher.

    Choose it when student and teacher differ in kind: it can take up what the student has no reason to learn.
    """
    inside, outside = student.shape[-1], teacher.shape[-1]
    return nn.Sequential(nn.Linear(inside, outside), nn.GELU(), nn.Linear(outside, outside)).to(student)


def orthogonal(student: Tensor, teacher: Tensor) -> nn.Module:
    """A linear layer that is learnt but keeps lengths and angles (of what it keeps, if the teacher is narrower).

    Choose it when the student is to do the work itself: the projector cannot. Miles, Elezi & Deng 2024,
    arxiv.org/abs/2403.06213.
    """
    layer: Any = nn.Linear(student.shape[-1], teacher.shape[-1], bias=False).to(student)
    nn.init.orthogonal_(layer.weight)
    return kept_orthogonal(layer)


def fitted(student: Tensor, teacher: Tensor) -> nn.Module:
    """A linear layer that starts where it fits the first batch best (ridge regression), learnt from there.

    Choose it for a student that inherits weights: its states hold much of the teacher's from the start, and it need
    not unlearn them while a random projector settles. It wants a first batch of more vectors than widths.
    """
    layer = nn.Linear(student.shape[-1], teacher.shape[-1]).to(student)
    mine, its = (side.double() - side.double().mean(0) for side in (student, teacher))
    products = mine.T @ mine
    ridge = _RIDGE * products.diagonal().mean().clamp(min=1e-12)
    weight = torch.linalg.solve(products + ridge * torch.eye(len(products)).to(products), mine.T @ its).T
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(teacher.double().mean(0) - weight @ student.double().mean(0))
    return layer
