"""A smaller encoder from a larger one: fewer layers, its weights inherited."""

from __future__ import annotations

from copy import deepcopy

from torch import nn

from stillhouse.models.layers import blocks, keep_blocks
from stillhouse.students.pick_layers import evenly

__all__ = ["shrink"]


def shrink(encoder: nn.Module, layers: int) -> nn.Module:
    """A copy of `encoder` with `layers` evenly chosen blocks; embeddings and kept blocks carry their weights."""
    smaller = deepcopy(encoder)
    keep_blocks(smaller, evenly(len(blocks(encoder)), layers))
    return smaller
