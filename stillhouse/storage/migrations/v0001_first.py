"""The first tables: projects, API keys, stored completions and what these are found by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    """From an empty database."""
    identifier = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    op.create_table(
        "projects",
        sa.Column("id", identifier, primary_key=True),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", identifier, primary_key=True),
        sa.Column("project", identifier, sa.ForeignKey("projects.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
        sa.Column("used", sa.BigInteger),
    )
    op.create_index("api_keys_by_digest", "api_keys", ["digest"], unique=True)
    op.create_table(
        "completions",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("metadata", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("messages", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name="completions_pkey"),
    )
    op.create_index("completions_by_time", "completions", ["project", "created", "id"])
    op.create_table(
        "completion_terms",
        sa.Column("term", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.PrimaryKeyConstraint("term", "created", "id", name="completion_terms_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deleted_completions",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name="deleted_completions_pkey"),
    )
