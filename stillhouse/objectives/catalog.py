"""Every objective, its class and its paper: one explicit list."""

from __future__ import annotations

from types import MappingProxyType

from stillhouse.objectives.response import CrossEntropy, ForwardKL

__all__ = ["CATALOG"]

CATALOG = MappingProxyType(
    {
        "cross_entropy": (CrossEntropy, "maximum likelihood"),
        "forward_kl": (ForwardKL, "arxiv.org/abs/1503.02531"),
    }
)
