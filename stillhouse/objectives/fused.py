"""Head and divergence in one pass: logits exist for a few positions at a time, and the gradient is taken on the way.

A language model's logits dwarf the model: 2,048 tokens of a vocabulary of 150,000 are 1.2 GB in float32, and
a divergence makes several copies. Here positions go through both heads in chunks that keep the matrix units busy;
within a chunk the divergence and its slope are computed for a few positions at a time, which stay in the processor's
cache, and the slope takes the logits' place. Logits and sums are float32 whatever the weights are (float64 stays), and
values and gradients are those of the plain maths. Of logits that are there already the gradient is the only copy.

On a GPU Triton kernels may take whole chunks from logits to slopes in place, without copies; `kernels.py` says when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from stillhouse.models.scores import Mixture, Projection
from stillhouse.objectives.cost import Cost, Known
from stillhouse.objectives.kernels import climber

__all__ = ["plainly", "summed"]

_CHUNK = {"cpu": 1 << 24, "cuda": 1 << 27}
"""Logits of one model that exist at once: 64 MB on a CPU, 512 MB on a GPU."""
_FEWEST, _MOST = 64, {"cpu": 256, "cuda": 8192}
"""Positions in a chunk of a large vocabulary: fewer would leave the matrix units idle, more would gain nothing."""
_SLICE = {"cpu": 1 << 18, "cuda": 1 << 25}
"""Logits that a divergence sees at once: what a cache holds on a CPU, what hides the cost of a call on a GPU."""
_ROWS = 8192
"""Rows of a head in half precision that are widened at once."""


def summed(
    scores: Tensor | Projection, mine: Tensor, known: Known, its: Tensor, terms: Sequence[tuple[float, Cost]]
) -> Tensor:
    """Each weighted cost summed over positions: `[terms]`.

    The student's `scores` lie in a row of positions, and so does what is `known`; `mine` `[n]` and `its` `[n]` say
    which of them are compared. All sums share a pass, and so do their gradients where they are differentiated with one
    factor; else a second pass is made for them.
    """
    if isinstance(scores, Projection):
        scores = scores[mine]
    learnt = (scores.states, scores.weight, scores.bias) if isinstance(scores, Projection) else (scores,)
    return _Pass.apply(_Work(scores, mine, known, its, terms, torch.is_grad_enabled()), *learnt)


@final
class _Pass(torch.autograd.Function):
    """Forward computes the sums and the gradients of their sum; backward only scales them."""

    @staticmethod
    def forward(ctx: Any, work: _Work, *learnt: Tensor | None) -> Tensor:
        totals, gradients = work.run([need and work.learning for need in ctx.needs_input_grad[1:]])
        ctx.save_for_backward(*learnt)
        ctx.work, ctx.gradients = work, gradients
        return totals

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (factors,) = grads
        gradients, factor = ctx.gradients, factors[0]
        if gradients is None or not torch.equal(factors, factor.expand_as(factors)):
            gradients, factor = ctx.work.weighted(factors).run(ctx.needs_input_grad[1:])[1], torch.ones_like(factor)
        ctx.gradients = None
        found = [
            None if gradient is None else gradient.mul_(factor).to(tensor.dtype)
            for gradient, tensor in zip(gradients, ctx.saved_tensors, strict=True)
        ]
        return None, *found


@final
@dataclass(frozen=True)
class _Work:
    """What is compared, and what it costs."""

    scores: Tensor | Projection
    """Of a Projection only the positions that are compared; of dense logits all, for their gradient has them all."""
    mine: Tensor
    known: Known
    its: Tensor
    terms: Sequence[tuple[float, Cost]]
    learning: bool
    """Whether anyone asks for gradients: inside a pass of its own nobody can tell."""

    def weighted(self, factors: Tensor) -> _Work:
        """The same with its terms weighted once more."""
        scaled = zip(self.terms, factors.tolist(), strict=True)
        return replace(self, terms=[(weight * factor, cost) for (weight, cost), factor in scaled])

    def run(self, wanted: Sequence[bool]) -> tuple[Tensor, list[Tensor | None]]:
        """The sums `[terms]`, and the gradients that are wanted: of states, weight and bias, or of the logits."""
        tensor = self.scores.states if isinstance(self.scores, Projection) else self.scores
        totals = torch.zeros(len(self.terms), dtype=_wide(tensor.dtype), device=tensor.device)
        with torch.autocast(tensor.device.type, enabled=False):
            if isinstance(self.scores, Projection):
                return totals, self._through_head(_detached(self.scores), totals, wanted)
            return totals, [self._on_logits(self.scores.detach(), totals, wanted[0])]

    def _through_head(self, head: Projection, totals: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
        gradients = [
            torch.zeros_like(tensor, dtype=totals.dtype) if need and tensor is not None else None
            for tensor, need in zip((head.states, head.weight, head.bias), wanted, strict=True)
        ]
        size, few = _sizes(len(head.states), len(head.weight), totals.device.type)
        buffer = totals.new_empty(size, len(head.weight))
        kernel = climber(totals.device, [cost for _, cost in self.terms])
        teacher, climb = _Teacher(self.known, size, totals.dtype, raw=kernel is not None), kernel or plainly
        for part in _parts(len(head.states), size):
            products = _project(head[part], buffer)
            near = teacher.near(self.its[part])
            for some in _parts(len(products), few if kernel is None or teacher.copies else size):
                totals += climb(products[some], (head, teacher.head), near(some), self.terms, any(wanted))
            if any(wanted):
                _gather(gradients, part, products, head[part])
        return gradients

    def _on_logits(self, logits: Tensor, totals: Tensor, wanted: bool) -> Tensor | None:
        gradient = torch.zeros_like(logits) if wanted else None
        size, few = _sizes(len(self.mine), logits.shape[-1], totals.device.type)
        kernel = climber(totals.device, [cost for _, cost in self.terms])
        teacher, climb = _Teacher(self.known, size, totals.dtype, raw=kernel is not None), kernel or plainly
        for part in _parts(len(self.mine), size):
            rows, near = self.mine[part], teacher.near(self.its[part])
            for some in _parts(len(rows), few):
                slope = logits[rows[some]].to(totals.dtype)
                totals += climb(slope, (None, teacher.head), near(some), self.terms, wanted)
                if gradient is not None:
                    gradient.index_add_(0, rows[some], slope.to(gradient.dtype))
        return gradient


@final
class _Teacher:
    """What is known, chunk by chunk: a teacher's states are projected into one buffer.

    If `raw`, products stay what they are, and `head` says what becomes of them.
    """

    def __init__(self, known: Known, size: int, dtype: torch.dtype, raw: bool) -> None:
        self._answers, self._scores, self._buffer = known.answers, known.scores, None
        self.copies = isinstance(known.scores, Tensor)
        """Whether positions are picked from dense scores, so that few should be at once."""
        self.head: Projection | None = None
        if isinstance(known.scores, Projection):
            self._scores = _detached(known.scores)
            self.head = self._scores if raw else None
            self._buffer = self._scores.states.new_empty(size, len(self._scores.weight), dtype=dtype)

    def near(self, places: Tensor) -> Callable[[slice], Known]:
        """What is known of a chunk of positions, for a few of them at a time."""
        scores, answers = self._scores, None if self._answers is None else self._answers[places]
        if isinstance(scores, Projection) and self._buffer is not None:
            products, head, raw = _project(scores[places], self._buffer), scores, self.head is not None
            dense = (lambda some: products[some]) if raw else (lambda some: head.finish(products[some]))
            return lambda some: Known(dense(some), None if answers is None else answers[some])
        if isinstance(scores, Mixture):
            whole = Known(scores[places].logits(), answers)
            return lambda some: whole[some]
        known = Known(scores, self._answers)
        return lambda some: known[places[some]]


def plainly(
    products: Tensor,
    heads: tuple[Projection | None, Projection | None],
    known: Known,
    terms: Sequence[tuple[float, Cost]],
    learning: bool,
) -> Tensor:
    """The weighted sum of each cost over a few positions `[terms]`; if learning, their slope takes the products' place.

    `products` `[n, labels]` are the student's, before its head finishes them, or logits if it has none; what is `known`
    are the teacher's logits.
    """
    head, slope = heads[0], None
    logits = products if head is None else head.finish(products)
    totals = products.new_zeros(len(terms))
    for number, (weight, cost) in enumerate(terms):
        nats, own = cost.with_slope(logits, known) if learning else (cost.nats(logits, known), None)
        totals[number] = weight * nats.sum()
        if own is not None:
            slope = own.mul_(weight) if slope is None else slope.add_(own, alpha=weight)
    if slope is not None:
        products.copy_(slope if head is None else _before_finish(slope, head, logits))
    return totals


def _before_finish(slope: Tensor, head: Projection, logits: Tensor) -> Tensor:
    """From the slope along the logits to that along `states @ weight^T`."""
    if head.softcap is not None:
        slope = slope * (1 - (logits / head.softcap).square())
    return slope if head.scale == 1 else slope * head.scale


def _gather(gradients: Sequence[Tensor | None], part: slice, slope: Tensor, head: Projection) -> None:
    """Add a chunk's slope `[n, labels]` to the gradients of states, weight and bias."""
    of_states, of_weight, of_bias = gradients
    for rows, weight in _wide_rows(head.weight, slope):
        if of_states is not None:
            _add_product(of_states[part], slope[:, rows], weight)
        if of_weight is not None:
            _add_product(of_weight[rows], slope[:, rows].T, head.states)
    if of_bias is not None:
        of_bias += slope.sum(0)


def _project(head: Projection, buffer: Tensor) -> Tensor:
    """`states @ weight^T` `[n, labels]`, in the first rows of a buffer."""
    products = buffer[: len(head.states)]
    for rows, weight in _wide_rows(head.weight, buffer):
        _product(products[:, rows], head.states, weight.T)
    return products


def _wide_rows(weight: Tensor, like: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """The rows of a head in the number type of `like`: all at once if they have it, else not many at a time.

    A GPU multiplies halves as they are and adds up in float32.
    """
    if weight.dtype == like.dtype or _in_halves(weight):
        yield slice(0, len(weight)), weight
        return
    for rows in _parts(len(weight), _ROWS):
        yield rows, weight[rows].to(like.dtype)


def _product(out: Tensor, left: Tensor, right: Tensor) -> None:
    """out = left @ right, added up in the number type of `out`."""
    if _in_halves(right):
        torch.mm(left.to(right.dtype), right, out_dtype=out.dtype, out=out)
    else:
        torch.mm(left.to(out.dtype), right, out=out)


def _add_product(out: Tensor, left: Tensor, right: Tensor) -> None:
    """out += left @ right, added up in the number type of `out`."""
    if _in_halves(right):
        torch.addmm(out, left.to(right.dtype), right, out_dtype=out.dtype, out=out)
    else:
        out.addmm_(left, right.to(out.dtype))


def _in_halves(factor: Tensor) -> bool:
    """Whether products with this are made in half precision: only a GPU gives their sums in float32."""
    return factor.device.type == "cuda" and factor.dtype in (torch.bfloat16, torch.float16)


def _sizes(positions: int, labels: int, device: str) -> tuple[int, int]:
    """How many positions go through the head at once, in chunks of equal size, and how many through a divergence."""
    kind = "cuda" if device == "cuda" else "cpu"
    few = max(1, _SLICE[kind] // max(1, labels))
    most = max(few, min(_MOST[kind], max(_FEWEST, _CHUNK[kind] // max(1, labels))))
    chunks = max(1, -(-positions // most))
    return -(-positions // chunks), few


def _parts(items: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, items)) for start in range(0, items, max(1, size)))


def _detached(head: Projection) -> Projection:
    bias = None if head.bias is None else head.bias.detach()
    return replace(head, states=head.states.detach(), weight=head.weight.detach(), bias=bias)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
