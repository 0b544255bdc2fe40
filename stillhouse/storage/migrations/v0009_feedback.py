"""Feedback on stored calls, and the queue of items that a person is to look at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """From the form before."""
    identifier = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    op.create_table(
        "feedback",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("completion", identifier, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.LargeBinary),
        sa.PrimaryKeyConstraint("project", "id", name="feedback_pkey"),
    )
    op.create_index("feedback_by_time", "feedback", ["project", "created", "id"])
    op.create_index("feedback_by_completion", "feedback", ["project", "completion", "created", "id"])
    op.create_table(
        "reviews",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("worth", sa.Float(53), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("item", identifier, nullable=False),
        sa.Column("origin", identifier, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.LargeBinary),
        sa.PrimaryKeyConstraint("project", "id", name="reviews_pkey"),
    )
    op.create_index("reviews_by_worth", "reviews", ["project", "state", "worth", "id"])
    op.create_index("reviews_by_item", "reviews", ["project", "item"], unique=True)
