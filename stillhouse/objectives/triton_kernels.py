"""Triton kernels for a chunk of logits: what its positions cost, and the slope in the place of the logits.

Products of states and head are made by cuBLAS; bias, scale and soft cap are applied as the products are read, and no
other buffer of their size exists. Forward KL, plain cross-entropy and sparse teachers pass over the chunk twice, the
other divergences and smoothed labels three times. Everything is computed in the number type of the products, float32
or float64.

With Triton's interpreter the kernels give what the plain maths give, to 1e-5 in float32 and 1e-12 in float64, and they
compile for sm_80 and sm_90. They have not yet run on a GPU, so how fast they are is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from stillhouse.models.scores import Projection, Sampled, TopK
from stillhouse.objectives.cost import Bins, Cost, Formula, Known, answers_of, dense, drawn
from stillhouse.objectives.divergences import LEAST, NEVER

__all__ = ["climb", "interpreted"]

_BLOCK, _WARPS = 4096, 8
_LEAST, _NEVER = tl.constexpr(LEAST), tl.constexpr(NEVER)


def interpreted() -> bool:
    """Whether Triton's interpreter stands in for a GPU (TRITON_INTERPRET=1), so that tensors may lie on a CPU."""
    return bool(triton.knobs.runtime.interpret)


def climb(
    products: Tensor,
    heads: tuple[Projection | None, Projection | None],
    known: Known,
    terms: Sequence[tuple[float, Cost]],
    learning: bool,
) -> Tensor:
    """The weighted sum of each cost over some positions `[terms]`; if learning, their slope takes the products' place.

    `products` `[n, labels]` are the student's states @ weight^T, and so are dense `known` scores the teacher's; each
    side's head says what becomes of them, and without one they are logits. All costs have a formula.
    """
    mine = _Side(products, heads[0])
    its = _Side(known.scores.contiguous(), heads[1]) if isinstance(known.scores, Tensor) else None
    formulas = [(weight, cost.formula) for weight, cost in terms if cost.formula is not None]
    with torch.cuda.device_of(products):  # kernels start on the current device, whatever they are given
        found = [(weight, _measure(formula, mine, its, known)) for weight, formula in formulas]
        if learning:
            _write_slope(mine, its, found)
        return torch.stack([weight * term.nats.sum() for weight, term in found])


@final
@dataclass(frozen=True)
class _Side:
    """A model's products of states and head `[n, labels]`, and the head that makes logits of them."""

    products: Tensor
    head: Projection | None

    @property
    def tensors(self) -> tuple[Tensor, Tensor | None]:
        return self.products, None if self.head is None else self.head.bias

    @property
    def numbers(self) -> tuple[int, float, float]:
        """Labels, scale, and the soft cap or 0."""
        labels = self.products.shape[-1]
        return (labels, 1.0, 0.0) if self.head is None else (labels, self.head.scale, self.head.softcap or 0.0)

    def at(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of some labels `[n, k]`, and their slope along the products."""
        picked = self.products.gather(-1, ids)
        if self.head is None:
            return picked, torch.ones_like(picked)
        bias = None if self.head.bias is None else self.head.bias[ids]
        logits = replace(self.head, bias=bias).finish(picked)
        slope = torch.full_like(picked, self.head.scale)
        return logits, slope if self.head.softcap is None else slope * (1 - (logits / self.head.softcap).square())


@final
@dataclass(frozen=True)
class _Term:
    """What a cost comes to, and its slope along the logits: gain (g - q pull), and more of it at a few labels.

    q is the student's probability of a label, g what `_apart` says of the kind.
    """

    kind: str
    numbers: tuple[float, float, int]
    """Temperature, the formula's share, and how many labels are compared."""
    sums: Tensor
    """`[2, n]`: log-sum-exp of student and teacher."""
    nats: Tensor
    gain: Tensor
    pull: Tensor
    few: tuple[Tensor, Tensor] | None = None
    """Ids `[n, k]`, and what is added there along the products."""


def _measure(formula: Formula, mine: _Side, its: _Side | None, known: Known) -> _Term:
    """One kernel over the chunk, and the little that concerns few labels."""
    if formula.kind == "cross_entropy":
        return _labelled(formula.share or 0.0, mine, answers_of(known).unsqueeze(-1))
    if isinstance(known.scores, TopK):
        return _likeliest(formula, mine, known.scores)
    if isinstance(known.scores, Sampled):
        return _draws(formula, mine, known.scores)
    its = its or _Side(dense(known.scores), None)  # which says what is wrong where there are none
    numbers = (formula.heat, formula.share or 0.0, min(mine.numbers[0], its.numbers[0]))
    sums = _sums(formula.kind, numbers, mine, its)
    gain = torch.full_like(sums[2], formula.heat)
    return _Term(formula.kind, numbers, sums[:2], formula.heat**2 * sums[2], gain, sums[3])


def _labelled(smoothing: float, mine: _Side, ids: Tensor) -> _Term:
    """Cross-entropy with the answers `ids` `[n, 1]`."""
    kind, numbers = "smooth" if smoothing else "few", (1.0, smoothing, mine.numbers[0])
    sums = _sums(kind, numbers, mine, None)
    said, slope = _said(mine, ids, 1.0, sums)
    nats, gain = -said.squeeze(-1), torch.ones_like(sums[2])
    pull = -gain
    if smoothing:
        total, number = sums[2], sums[3]
        nats = (1 - smoothing) * nats - smoothing * total / number
        gain, pull = -smoothing / number, number / smoothing
    return _Term(kind, numbers, sums[:2], nats, gain, pull, (ids, (smoothing - 1) * slope))


def _likeliest(formula: Formula, mine: _Side, known: TopK) -> _Term:
    """A divergence over the teacher's likeliest labels and one bin for the rest, which moves as a block."""
    heat, labels = formula.heat, mine.numbers[0]
    bins, numbers = Bins.of(known, labels, heat), (heat, 0.0, labels)
    sums = _sums("few", numbers, mine, None)
    said, slope = _said(mine, bins.ids, heat, sums)
    sides = bins.sides(said)
    nats, along = formula.steep(*sides, *formula.shares)
    rest = bins.rest(along, sides[0])
    own = heat * slope * bins.own(along, rest, said)
    return _Term(
        "few", numbers, sums[:2], heat**2 * nats, torch.full_like(nats, heat), -rest.squeeze(-1), (bins.ids, own)
    )


def _draws(formula: Formula, mine: _Side, known: Sampled) -> _Term:
    """The cross-entropy with a teacher's draws."""
    ids, shares = drawn(known, mine.products, formula)
    numbers = (1.0, 0.0, mine.numbers[0])
    sums = _sums("few", numbers, mine, None)
    said, slope = _said(mine, ids, 1.0, sums)
    gain = torch.ones_like(sums[2])
    return _Term("few", numbers, sums[:2], -(shares * said).sum(-1), gain, -shares.sum(-1), (ids, -shares * slope))


def _said(mine: _Side, ids: Tensor, heat: float, sums: Tensor) -> tuple[Tensor, Tensor]:
    """The student's log-probs of some labels `[n, k]`, and the slope of their logits along the products."""
    logits, slope = mine.at(ids)
    return (logits / heat - sums[0].unsqueeze(-1)).clamp(min=NEVER), slope


def _sums(kind: str, numbers: tuple[float, float, int], mine: _Side, its: _Side | None) -> Tensor:
    """What `_sum` finds: `[4, n]`."""
    rows, other = len(mine.products), its or mine
    found = mine.products.new_empty(4, rows)
    _sum[(rows,)](  # pyright: ignore[reportIndexIssue]
        mine.tensors, other.tensors, found, (mine.numbers, other.numbers), kind, numbers, _BLOCK, num_warps=_WARPS
    )
    return found


def _write_slope(mine: _Side, its: _Side | None, terms: Sequence[tuple[float, _Term]]) -> None:
    other, (rows, labels) = its or mine, mine.products.shape
    table = torch.stack([torch.stack([*term.sums, weight * term.gain, term.pull]) for weight, term in terms])
    kinds, numbers = tuple(term.kind for _, term in terms), tuple(term.numbers for _, term in terms)
    _write[(rows, triton.cdiv(labels, _BLOCK))](  # pyright: ignore[reportIndexIssue]
        mine.tensors, other.tensors, table, (mine.numbers, other.numbers), kinds, numbers, _BLOCK, num_warps=_WARPS
    )
    for weight, term in terms:
        if term.few is not None:
            ids, more = term.few
            mine.products.scatter_add_(-1, ids, weight * more)


@triton.jit
def _sum(
    mine: tl.tuple,
    its: tl.tuple,
    found: tl.tensor,
    SIDES: tl.constexpr,
    KIND: tl.constexpr,
    NUMBERS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """One row: log-sum-exp of student and teacher, nats, and pull = sum_j g_j, each where the kind has them.

    Of "smooth", nats and pull are the sum of the log-probs that exist, and how many these are.
    """
    row, rows = tl.program_id(0).to(tl.int64), tl.num_programs(0)
    DTYPE: tl.constexpr = found.dtype.element_ty
    DENSE: tl.constexpr = (KIND != "few") and (KIND != "smooth")
    MINE: tl.constexpr = SIDES[0]
    ITS: tl.constexpr = SIDES[1]
    HEAT: tl.constexpr = NUMBERS[0]
    WIDTH: tl.constexpr = NUMBERS[2]
    top_q = tl.full((), _NEVER, DTYPE)
    top_p = top_q
    sum_q, sum_p, nats, pull = top_q * 0, top_q * 0, top_q * 0, top_q * 0
    for start in range(0, WIDTH, BLOCK):
        at = start + tl.arange(0, BLOCK)
        y = _logits(mine, row, at, MINE, HEAT, WIDTH, DTYPE)
        top = tl.maximum(top_q, tl.max(y, 0))
        sum_q = sum_q * tl.exp(top_q - top) + tl.sum(tl.exp(y - top), 0)
        top_q = top
        if DENSE:
            x = _logits(its, row, at, ITS, HEAT, WIDTH, DTYPE)
            top = tl.maximum(top_p, tl.max(x, 0))
            p, shrink = tl.exp(x - top), tl.exp(top_p - top)
            sum_p = sum_p * shrink + tl.sum(p, 0)
            if KIND == "forward_kl":  # sum_j p_j (x_j - y_j): what the normalisers add is known in the end
                nats = nats * shrink + tl.sum(p * tl.where(p > 0, x - tl.maximum(y, _NEVER), 0), 0)
            top_p = top
    lse_q, lse_p = top_q + tl.log(sum_q), top_q
    if DENSE:
        lse_p = top_p + tl.log(sum_p)
    if KIND == "forward_kl":
        nats, pull = nats / sum_p - lse_p + lse_q, pull - 1
    elif KIND != "few":
        for start in range(0, WIDTH, BLOCK):
            at = start + tl.arange(0, BLOCK)
            log_q = tl.maximum(_logits(mine, row, at, MINE, HEAT, WIDTH, DTYPE) - lse_q, _NEVER)
            log_p = log_q
            if DENSE:
                log_p = tl.maximum(_logits(its, row, at, ITS, HEAT, WIDTH, DTYPE) - lse_p, _LEAST)
            cost, g = _apart(log_q, log_p, KIND, NUMBERS[1])
            nats += tl.sum(cost, 0)
            pull += tl.sum(g, 0)
    tl.store(found + row, lse_q)
    tl.store(found + rows + row, lse_p)
    tl.store(found + 2 * rows + row, nats)
    tl.store(found + 3 * rows + row, pull)


@triton.jit
def _write(
    mine: tl.tuple,
    its: tl.tuple,
    table: tl.tensor,
    SIDES: tl.constexpr,
    KINDS: tl.constexpr,
    NUMBERS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """A block of one row: sum_terms gain (g - q pull), brought from logits to products, in the products' place.

    `table` `[terms, 4, n]` holds what `_sum` found, the gain where it had nats.
    """
    row, rows = tl.program_id(0).to(tl.int64), tl.num_programs(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    DTYPE: tl.constexpr = table.dtype.element_ty
    MINE: tl.constexpr = SIDES[0]
    ITS: tl.constexpr = SIDES[1]
    slope = tl.zeros((BLOCK,), DTYPE)
    for term in tl.static_range(len(KINDS)):
        sums = table + term * 4 * rows + row
        log_q = _logits(mine, row, at, MINE, NUMBERS[term][0], NUMBERS[term][2], DTYPE) - tl.load(sums)
        log_q = tl.maximum(log_q, _NEVER)
        g = tl.zeros((BLOCK,), DTYPE)
        if KINDS[term] != "few":
            log_p = log_q
            if KINDS[term] != "smooth":
                log_p = _logits(its, row, at, ITS, NUMBERS[term][0], NUMBERS[term][2], DTYPE) - tl.load(sums + rows)
                log_p = tl.maximum(log_p, _LEAST)
            _, g = _apart(log_q, log_p, KINDS[term], NUMBERS[term][1])
        slope += tl.load(sums + 2 * rows) * (g - tl.exp(log_q) * tl.load(sums + 3 * rows))
    inside = at < MINE[0]
    if MINE[2] > 0:
        bent = tl.where(inside, _logits(mine, row, at, MINE, 1.0, MINE[0], DTYPE), 0) / MINE[2]
        slope *= 1 - bent * bent
    tl.store(mine[0] + row * MINE[0] + at, slope * MINE[1], mask=inside)


@triton.jit
def _logits(
    side: tl.tuple,
    row: tl.tensor,
    at: tl.tensor,
    SIDE: tl.constexpr,
    HEAT: tl.constexpr,
    WIDTH: tl.constexpr,
    DTYPE: tl.constexpr,
) -> tl.tensor:
    """One row's logits at a block of labels, divided by the temperature; minus infinity beyond what is compared."""
    inside = at < WIDTH
    z = tl.load(side[0] + row * SIDE[0] + at, mask=inside, other=0).to(DTYPE)
    if side[1] is not None:
        z += tl.load(side[1] + at, mask=inside, other=0).to(DTYPE)
    if SIDE[1] != 1:
        z *= SIDE[1]
    if SIDE[2] > 0:
        small = tl.exp(-2 * tl.abs(z / SIDE[2]))
        z = SIDE[2] * tl.where(z < 0, small - 1, 1 - small) / (1 + small)  # tanh
    if HEAT != 1:
        z /= HEAT
    return tl.where(inside, z, float("-inf"))


@triton.jit
def _apart(log_q: tl.tensor, log_p: tl.tensor, KIND: tl.constexpr, SHARE: tl.constexpr) -> tl.tuple:
    """What each label adds to the nats, and g, its slope along log q taken alone; formulas as in `slopes.py`."""
    q, p = tl.exp(log_q), tl.exp(log_p)
    if KIND == "smooth":
        exists = log_q > _LEAST / 2
        cost, g = tl.where(exists, log_q, 0), tl.where(exists, q * 0 + 1, 0)
    elif KIND == "forward_kl":
        cost, g = p * (log_p - log_q), -p
    elif KIND == "reverse_kl":
        g = q * (log_q - log_p)
        cost = g
    elif KIND == "jensen_shannon":
        middle = _log_mixed(p, q, SHARE)
        g = (1 - SHARE) * q * (log_q - middle)
        cost = SHARE * p * (log_p - middle) + g
    elif KIND == "skewed_forward_kl":
        middle = _log_mixed(p, q, SHARE)
        cost, g = p * (log_p - middle), (SHARE - 1) * q * tl.exp(log_p - middle)
    elif KIND == "skewed_reverse_kl":
        apart = log_q - _log_mixed(q, p, SHARE)
        cost, g = q * apart, q * (apart + 1 - SHARE * tl.exp(apart))
    else:
        tl.static_assert(KIND == "total_variation")
        cost, g = 0.5 * tl.abs(q - p), 0.5 * tl.where(q > p, q, tl.where(q < p, -q, 0))
    return cost, g


@triton.jit
def _log_mixed(first: tl.tensor, second: tl.tensor, SHARE: tl.constexpr) -> tl.tensor:
    """log(share a + (1 - share) b) of two probabilities, of zeros that of the smallest number there is."""
    tiny: tl.constexpr = 2.2250738585072014e-308 if first.dtype.scalar == tl.float64 else 1.1754943508222875e-38
    return tl.log(tl.maximum(SHARE * first + (1 - SHARE) * second, tiny))
