"""Fake quantisers: numbers rounded to those that integers will give, while gradients pass as if they were not.

A grid of b bits has the integers -2^(b-1) to 2^(b-1) - 1, and x becomes step * clamp(round(x / step)); what enters a
layer has the integers 0 to 255 and a zero point z, step * (clamp(round(x / step) + z) - z): Jacob et al. 2018,
arxiv.org/abs/1712.05877. Rounding has no slope to follow, so the identity's is taken for x within the grid and none
outside: Bengio, Léonard & Courville 2013, arxiv.org/abs/1308.3432.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

__all__ = ["TOP_INPUT", "Cut", "InputRange", "Steps", "WeightGrid", "closest_step", "on_grid", "widest_step"]

Steps = Literal["widest", "learnt"]
"""Where the step of a weight's grid comes from: its largest number, anew in every pass; or learnt beside the weight."""

LEAST_STEP = 1e-8
"""Numbers that are all zero have a step too."""
TOP_INPUT = 255
"""The last integer of what enters a layer."""
HORIZON = 99
"""Batches after whose mean the ranges of what enters follow by a moving average."""


def on_grid(values: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`values` rounded to step times the integers from `low` to `high`, with slopes for both values and step.

    The step's slope is learnt step size quantisation's, q being the integer: q - x / step within the grid and q
    outside, over the square root of (numbers of a step * high). Esser et al. 2020, arxiv.org/abs/1902.08153.
    """
    return _OnGrid.apply(values, step, low, high)  # pyright: ignore[reportReturnType]


@final
class _OnGrid(torch.autograd.Function):
    """Rounding that lets gradients through."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, low: Tensor, high: Tensor) -> Tensor:
        ctx.save_for_backward(values, step, low, high)
        return (values / step).round().clamp(low, high) * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, step, low, high = ctx.saved_tensors
        places = values / step
        inside = (places >= low) & (places <= high)
        to_step = None
        if ctx.needs_input_grad[1]:
            nearest = places.round().clamp(low, high)
            slope = torch.where(inside, nearest - places, nearest)
            each = values.numel() / step.numel()
            to_step = (gradients[0] * slope).sum_to_size(step.shape) / (each * high).sqrt()
        return gradients[0] * inside, to_step, None, None


@final
@dataclass(frozen=True)
class Cut:
    """How a weight is cut into blocks that share a step: a row for each output, in groups of inputs.

    With `group` 0 a row is one block. `transposed` weights have a column for each output (GPT-2's layers).
    """

    group: int = 0
    transposed: bool = False

    def blocks(self, weight: Tensor) -> Tensor:
        """`[outputs, groups, numbers]`; a last group that is too short is filled with zeros."""
        rows = (weight.T if self.transposed else weight).flatten(1)
        size = self.group or rows.shape[1]
        return nn.functional.pad(rows, (0, -rows.shape[1] % size)).unflatten(1, (-1, size))

    def whole(self, blocks: Tensor, shape: torch.Size) -> Tensor:
        """The weight of that shape that `blocks` were cut out of."""
        outputs = shape[1] if self.transposed else shape[0]
        rows = blocks.flatten(1)[:, : shape.numel() // outputs]
        return rows.T if self.transposed else rows.reshape(shape)


def widest_step(blocks: Tensor, bits: int) -> Tensor:
    """The step by which the largest number of each block is the grid's last, `[outputs, groups, 1]`."""
    return (blocks.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)).clamp(min=LEAST_STEP)


def closest_step(blocks: Tensor, bits: int) -> Tensor:
    """The step, of 46 that are tried, by which a block loses least to rounding, in squares; `[outputs, groups, 1]`.

    With few bits it is well below the widest: the few large numbers are cut off, and all others are met better.
    """
    low, high = _ends(bits, blocks)
    widest = widest_step(blocks, bits)
    best, least = widest, torch.full_like(widest, float("inf"))
    for share in (1.0, *torch.linspace(0.1, 1.1, 45).tolist()):
        step = widest * share
        lost = (on_grid(blocks, step, low, high) - blocks).square().sum(-1, keepdim=True)
        best, least = torch.where(lost < least, step, best), torch.minimum(lost, least)
    return best


def _ends(bits: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last integer of a grid."""
    half = float(2 ** (bits - 1))
    return like.new_full((), -half), like.new_full((), half - 1)


@final
class WeightGrid(nn.Module):
    """The grid of one weight, or of several that share their numbers.

    It is a parametrisation: whoever reads the weight of its layer reads the rounded one.
    """

    def __init__(self, weight: Tensor, bits: int, cut: Cut, steps: Steps = "widest") -> None:
        super().__init__()
        self.bits, self.cut = bits, cut
        self.log_step: nn.Parameter | None = None
        """`[blocks]`: learnt as a logarithm, so that a step stays above 0 and an optimizer moves small ones little."""
        if steps == "learnt":
            with torch.no_grad():
                self.log_step = nn.Parameter(closest_step(cut.blocks(weight.detach()), bits).log().flatten())

    def forward(self, weight: Tensor) -> Tensor:
        blocks = self.cut.blocks(weight.float())
        rounded = on_grid(blocks, self.step(blocks), *_ends(self.bits, blocks))
        return self.cut.whole(rounded, weight.shape).to(weight.dtype)

    def step(self, blocks: Tensor) -> Tensor:
        """The step of each block, `[outputs, groups, 1]`."""
        if self.log_step is None:
            return widest_step(blocks.detach(), self.bits)
        return self.log_step.exp().view(*blocks.shape[:2], 1)

    @torch.no_grad()
    def integers(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The integers of a weight, int8 `[outputs, groups, numbers]`, and their steps `[outputs, groups]`."""
        blocks = self.cut.blocks(weight.float())
        step = self.step(blocks)
        return (blocks / step).round().clamp(*_ends(self.bits, blocks)).to(torch.int8), step.squeeze(-1)

    def extra_repr(self) -> str:
        """The grid in one line, for those who print the model."""
        return f"bits={self.bits}, group={self.cut.group}, steps={'widest' if self.log_step is None else 'learnt'}"


@final
class InputRange(nn.Module):
    """What enters a layer, rounded to 256 values between the smallest and the largest number seen.

    While it trains it follows the range of its batches: the mean of the first hundred, then a moving average, until it
    is frozen. Before it has seen any it lets everything pass as it is.
    """

    low: Tensor
    high: Tensor
    batches: Tensor
    frozen: Tensor

    def __init__(self, device: torch.device | None = None) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros((), device=device))
        self.register_buffer("high", torch.zeros((), device=device))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long, device=device))
        self.register_buffer("frozen", torch.zeros((), dtype=torch.bool, device=device))

    def forward(self, values: Tensor) -> Tensor:
        if self.training and not self.frozen:
            self._observe(values.detach().float())
        if not self.batches:
            return values
        step, zero = self.grid()
        return on_grid(values.float(), step, -zero, TOP_INPUT - zero).to(values.dtype)

    @torch.no_grad()
    def _observe(self, values: Tensor) -> None:
        share = 1 / (min(int(self.batches), HORIZON) + 1)
        self.low.lerp_(values.min().clamp(max=0), share)
        self.high.lerp_(values.max().clamp(min=0), share)
        self.batches += 1

    @torch.no_grad()
    def grid(self) -> tuple[Tensor, Tensor]:
        """The step, and the integer that stands for 0, as a float."""
        step = ((self.high - self.low) / TOP_INPUT).clamp(min=LEAST_STEP)
        return step, (-self.low / step).round().clamp(0, TOP_INPUT)
