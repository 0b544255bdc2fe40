"""Files and chunked uploads."""

from __future__ import annotations

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From the form before."""
