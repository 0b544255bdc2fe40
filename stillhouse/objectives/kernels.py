"""Kernels: whether a pass through the head takes Triton kernels or the plain maths.

`STILLHOUSE_KERNELS` decides. `auto`, the default: kernels for tensors on a CUDA GPU where Triton is installed and
every objective of the pass has kernels, else the plain maths. `plain`: never. `triton`: always, or an error that says
what is in the way. Before the first use on a device the kernels are tried on few numbers; where they fail or differ
from the plain maths, `auto` warns and goes on without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from stillhouse import settings
from stillhouse.errors import UsageError
from stillhouse.extras import missing
from stillhouse.models.scores import Projection
from stillhouse.objectives import divergences as maths
from stillhouse.objectives import slopes
from stillhouse.objectives.cost import Cost, Known, between

__all__ = ["WITH_KERNELS", "Climb", "climber", "trial"]

Heads = tuple[Projection | None, Projection | None]
Climb = Callable[[Tensor, Heads, Known, Sequence[tuple[float, Cost]], bool], Tensor]
"""Products of some positions `[n, labels]`, the heads of student and teacher, what is known, weighted costs, and
whether the slope shall take the products' place, -> the weighted sum of each cost `[terms]`."""

WITH_KERNELS = frozenset(
    {
        slopes.cross_entropy,
        slopes.forward_kl,
        slopes.jensen_shannon,
        slopes.reverse_kl,
        slopes.skewed_forward_kl,
        slopes.skewed_reverse_kl,
        slopes.total_variation,
    }
)
"""What kernels compute, by the closed form of the plain maths."""


def climber(device: torch.device, costs: Sequence[Cost]) -> Climb | None:
    """`triton_kernels.climb` where kernels are to be used, None where the plain maths are.

    Raises UsageError where kernels are demanded and cannot be used.
    """
    wish = settings.kernels()
    if wish == "plain" or (wish == "auto" and device.type != "cuda"):
        return None
    obstacle = _obstacle(device, costs)
    if obstacle is None:
        from stillhouse.objectives.triton_kernels import climb

        fault = trial(climb, device)
        if fault is None:
            return climb
        obstacle = f"Triton's kernels do not work here: {fault}"
        if wish == "auto":
            _warn(obstacle)
    if wish == "triton":
        raise UsageError(f"STILLHOUSE_KERNELS demands Triton kernels, but {obstacle}. Set it to auto or plain.")
    return None


def _obstacle(device: torch.device, costs: Sequence[Cost]) -> str | None:
    """What keeps kernels from being tried."""
    if any(cost.formula is None or cost.formula.steep not in WITH_KERNELS for cost in costs):
        return "an objective of this pass has none"
    if missing(["triton"]):
        return "Triton is not installed (pip install triton)"
    if device.type != "cuda":
        from stillhouse.objectives.triton_kernels import interpreted

        return None if interpreted() else f"the tensors are on a device of type {device.type}"
    return None


@cache
def trial(climb: Climb, device: torch.device) -> str | None:
    """What goes wrong when a function computes a small divergence and its slope on a device; None if nothing does."""
    logits, told = (torch.arange(3000.0, device=device).mul_(step).sin_().mul_(3).view(3, 1000) for step in (1, 2))
    cost, known = between(maths.jensen_shannon, slopes.jensen_shannon, 2.0, 0.3), Known(told)
    wanted = cost.with_slope(logits, known)
    try:
        own = climb(logits, (None, None), known, [(1.0, cost)], True)
    except Exception as error:  # a compiler or a driver is missing, or too old: no type says it all
        return f"{type(error).__name__}: {error}"
    close = [torch.allclose(*pair, rtol=1e-4, atol=1e-6) for pair in ((own[0], wanted[0].sum()), (logits, wanted[1]))]
    return None if all(close) else "they give other numbers than the plain maths"


@cache
def _warn(obstacle: str) -> None:
    """Once for each obstacle."""
    warnings.warn(
        f"{obstacle}. The plain maths are used. STILLHOUSE_KERNELS=plain chooses them without this warning.",
        stacklevel=2,
    )
