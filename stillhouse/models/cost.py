"""How large a module is and how much arithmetic an answer takes."""

from __future__ import annotations

from torch import nn

__all__ = ["parameters"]


def parameters(module: nn.Module) -> int:
    """The number of weights, shared ones counted once."""
    return sum(weight.numel() for weight in module.parameters())
