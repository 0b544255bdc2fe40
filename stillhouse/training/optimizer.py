"""Parameter groups, AdamW, and the learning-rate schedule."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["make_optimizer", "make_schedule"]


def make_optimizer(parts: list[tuple[nn.Module, float]], scale: float, weight_decay: float) -> AdamW:
    """AdamW over the parts' weights that train; biases and norms (one-dimensional weights) do not decay."""
    groups: list[dict[str, object]] = []
    for module, rate in parts:
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        matrices = [weight for weight in weights if weight.ndim > 1]
        vectors = [weight for weight in weights if weight.ndim <= 1]
        groups.append({"params": matrices, "lr": rate * scale, "weight_decay": weight_decay})
        groups.append({"params": vectors, "lr": rate * scale, "weight_decay": 0.0})
    return AdamW([group for group in groups if group["params"]], betas=(0.9, 0.98), eps=1e-6, fused=True)


def make_schedule(optimizer: AdamW, steps: int, warmup: float) -> LambdaLR:
    """Linear warm-up over a share of the steps, then a cosine to a hundredth of the peak."""
    rising = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = (step - rising) / max(1, steps - rising)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return LambdaLR(optimizer, factor)
