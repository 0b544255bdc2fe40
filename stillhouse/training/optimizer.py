"""Parameter groups, AdamW, and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from stillhouse.errors import UsageError
from stillhouse.models.layers import blocks

__all__ = ["SHAPES", "layerwise", "make_optimizer", "make_schedule"]

SHAPES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
        "linear": lambda done: 1 - done,
        "constant": lambda done: 1.0,
    }
)
"""How the rate falls after the warm-up: the share of the peak left when `done` (0..1) of the steps are over."""


def make_optimizer(parts: Sequence[tuple[nn.Module, float]], scale: float, weight_decay: float) -> AdamW:
    """AdamW over the parts' weights that train; biases and norms (one-dimensional weights) do not decay.

    A weight that several parts share has the rate of the first.
    """
    groups: list[dict[str, object]] = []
    seen: set[int] = set()
    for module, rate in parts:
        weights = [weight for weight in module.parameters() if weight.requires_grad and id(weight) not in seen]
        seen.update(map(id, weights))
        matrices = [weight for weight in weights if weight.ndim > 1]
        vectors = [weight for weight in weights if weight.ndim <= 1]
        groups.append({"params": matrices, "lr": rate * scale, "weight_decay": weight_decay})
        groups.append({"params": vectors, "lr": rate * scale, "weight_decay": 0.0})
    return AdamW([group for group in groups if group["params"]], betas=(0.9, 0.98), eps=1e-6, fused=True)


def layerwise(model: nn.Module, rate: float, decay: float) -> list[tuple[nn.Module, float]]:
    """A rate for each block, falling from the last to the first: rate * decay^(blocks above it); the rest as the first.

    Howard & Ruder 2018, arxiv.org/abs/1801.06146.
    """
    if not 0 < decay <= 1:
        raise UsageError(f"The layers' decay must be above 0 and at most 1; it is {decay}.")
    stack = list(blocks(model))
    rates: list[tuple[nn.Module, float]] = [
        (block, rate * decay ** (len(stack) - 1 - at)) for at, block in enumerate(stack)
    ]
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None  # pyright: ignore[reportCallIssue]
    return [*([(head, rate)] if isinstance(head, nn.Module) else []), *rates, (model, rate * decay ** len(stack))]


def make_schedule(optimizer: AdamW, steps: int, warmup: float, shape: str = "cosine") -> LambdaLR:
    """Linear warm-up over a share of the steps, then by `shape` to a hundredth of the peak, or on at the peak."""
    rising = max(1, round(steps * warmup))
    if shape not in SHAPES:
        raise UsageError(f"There is no schedule {shape!r}; choose {', '.join(SHAPES)}.")

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = min(1.0, (step - rising) / max(1, steps - rising))
        return 0.01 + 0.99 * SHAPES[shape](done)

    return LambdaLR(optimizer, factor)
