"""Answers that are kept for calls which are sent again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """From the form before."""
    identifier = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    op.create_table(
        "kept_answers",
        sa.Column("project", identifier, nullable=False),
        sa.Column("place", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("status", sa.BigInteger),
        sa.Column("headers", sa.LargeBinary),
        sa.Column("content", sa.LargeBinary),
        sa.PrimaryKeyConstraint("project", "place", name="kept_answers_pkey"),
    )
    op.create_index("kept_answers_by_expiry", "kept_answers", ["expires"])
