"""Whole runs, in small."""

from __future__ import annotations

from tests.recipes.runs import in_small, plain, tiny_encoder

__all__ = ["in_small", "plain", "tiny_encoder"]
