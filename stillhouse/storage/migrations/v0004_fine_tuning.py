"""Fine-tuning jobs, their events and checkpoints, and the models they made."""

from __future__ import annotations

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From the form before."""
