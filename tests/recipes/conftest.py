"""Whole runs, in small."""

from __future__ import annotations

from tests.recipes.runs import encoded, in_small, plain, tiny_encoder

__all__ = ["encoded", "in_small", "plain", "tiny_encoder"]
