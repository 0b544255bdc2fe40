"""Evals, their runs and output items."""

from __future__ import annotations

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From the form before."""
