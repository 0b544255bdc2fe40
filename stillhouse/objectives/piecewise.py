"""Work on a few items at a time, each piece computed once more for its gradient, so that only one exists at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

__all__ = ["piecewise"]

_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 27}
"""Numbers that a piece may hold: 16 MB in float32 on a CPU, whose caches count, and 512 MB on a GPU."""


def piecewise(compute: Callable[[slice], Tensor], items: int, each: int, device: torch.device) -> list[Tensor]:
    """What `compute` gives for items a few at a time, where an item takes `each` numbers; at least one piece."""
    size = max(1, _ELEMENTS.get(device.type, _ELEMENTS["cpu"]) // max(1, each))
    parts = [slice(start, min(start + size, items)) for start in range(0, items, size)] or [slice(0, 0)]
    if len(parts) == 1 or not torch.is_grad_enabled():
        return [compute(part) for part in parts]
    return [_once_more(compute, part) for part in parts]


def _once_more(compute: Callable[[slice], Tensor], part: slice) -> Tensor:
    found = checkpoint(compute, part, use_reentrant=False, preserve_rng_state=False)
    assert isinstance(found, Tensor)
    return found
