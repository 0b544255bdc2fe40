"""Pure, unreduced maths of vectors: how far apart two are, and how the rows of a batch lie to each other.

All of it is computed in float32 or better. A vector of no length points nowhere: it agrees with another such, and
draws no gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stillhouse.objectives.divergences import LEAST

__all__ = [
    "attention_map",
    "centred_products",
    "cosine_distance",
    "cosines_at",
    "neighbours",
    "relations",
    "relative_distances",
    "similarities",
    "unit",
    "wide",
]

_NOTHING = 1e-24
"""A squared length that counts as none."""


def wide(vectors: Tensor) -> Tensor:
    """The same in float32, or in float64 if it is that already."""
    return vectors if vectors.dtype == torch.float64 else vectors.float()


def unit(vectors: Tensor) -> Tensor:
    """x / |x| over the last axis, `[..., width]`; zero where there is no length."""
    square = wide(vectors).square().sum(-1, keepdim=True)
    there = square > _NOTHING
    return torch.where(there, wide(vectors) * torch.where(there, square, 1).rsqrt(), 0)


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - cos(x, y), computed as |x/|x| - y/|y||^2 / 2: two `[..., width]` -> `[...]` in 0..2."""
    return 0.5 * (unit(student) - unit(teacher)).square().sum(-1)


def relative_distances(rows: Tensor) -> Tensor:
    """|x_i - x_j| / mu, mu the mean of those that are not zero: `[B, width]` -> `[B, B]`, all zero if none is.

    From products in float64. Rows nearer than 3e-7 of their lengths about the mean of all count as the same.
    """
    about = rows.double() - rows.double().mean(0)
    squares = about.square().sum(-1)
    sizes = squares.unsqueeze(1) + squares
    apart = sizes - 2 * about @ about.T
    there = (apart > 1e-13 * sizes) & ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    apart = torch.where(there, torch.where(there, apart, 1).sqrt(), 0)
    return (apart * (there.sum() / torch.where(there.any(), apart.sum(), 1))).to(wide(rows).dtype)


def cosines_at(apart: Tensor, vertices: slice) -> Tensor:
    """cos of the angle i-j-k at some vertices j, by the law of cosines: distances `[B, B]` -> `[V, B, B]`.

    (d_ij^2 + d_jk^2 - d_ik^2) / (2 d_ij d_jk), zero where i or k is j.
    """
    there = apart[vertices] > 0
    nearness = torch.where(there, 1 / torch.where(there, apart[vertices], 1), 0)
    squares = apart.square()
    sides = squares[vertices].unsqueeze(2) + squares[vertices].unsqueeze(1) - squares
    return 0.5 * sides * nearness.unsqueeze(2) * nearness.unsqueeze(1)


def similarities(rows: Tensor) -> Tensor:
    """The rows of F F^T, each brought to length 1: `[B, width]` -> `[B, B]`."""
    rows = _scaled(wide(rows))
    return unit(rows @ rows.T)


def neighbours(rows: Tensor) -> Tensor:
    """log p(j | i), p in proportion to (1 + cos(x_i, x_j)) / 2: `[B, width]` -> `[B, B]`."""
    pointing = unit(rows)
    near = ((1 + pointing @ pointing.T) / 2).clamp(min=1e-7)
    return (near / near.sum(-1, keepdim=True)).log()


def centred_products(rows: Tensor) -> Tensor:
    """The products x_i . x_j of rows about their mean, up to scale: `[B, width]` -> `[B, B]`."""
    about = _scaled(wide(rows) - wide(rows).mean(0))
    return about @ about.T


def attention_map(maps: Tensor) -> Tensor:
    """mean_c f^2 at each place, as one vector of length 1: `[rows, channels, height, width]` -> `[rows, places]`."""
    return unit(unit(maps.flatten(1)).unflatten(1, (maps.shape[1], -1)).square().mean(1))


def relations(vectors: Tensor, counted: Tensor) -> Tensor:
    """log softmax_j(x_i . x_j / sqrt(width)) over the tokens that count.

    `[rows, heads, tokens, width]` and bools `[rows, tokens]` -> log-probs `[rows, heads, tokens, tokens]`, at the
    tokens that do not count `LEAST`.
    """
    clean = wide(vectors).masked_fill(~counted[:, None, :, None], 0)
    scores = clean @ clean.transpose(-1, -2) / math.sqrt(max(1, vectors.shape[-1]))
    aside = ~counted[:, None, None, :]
    return scores.masked_fill(aside, torch.finfo(scores.dtype).min).log_softmax(-1).masked_fill(aside, LEAST)


def _scaled(rows: Tensor) -> Tensor:
    """Rows `[B, width]` in a unit in which all together have length 1, so that squares neither vanish nor overflow."""
    return unit(rows.flatten()).view_as(rows)
