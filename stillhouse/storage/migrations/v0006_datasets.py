"""Datasets: names, versions, lineage, who learnt from them, and filters that are kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """From the form before."""
    _datasets()
    _lineage()
    identifier = _identifier()
    op.create_table(
        "saved_filters",
        sa.Column("project", identifier, nullable=False),
        sa.Column("name", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name="saved_filters_pkey"),
    )


def _identifier() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(TEXT(collation="C"), "postgresql")


def _datasets() -> None:
    identifier = _identifier()
    op.create_table(
        "datasets",
        sa.Column("project", identifier, nullable=False),
        sa.Column("name", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name="datasets_pkey"),
    )
    op.create_table(
        "dataset_versions",
        sa.Column("project", identifier, nullable=False),
        sa.Column("name", identifier, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("hash", identifier, nullable=False),
        sa.Column("items", sa.BigInteger, nullable=False),
        sa.Column("dropped", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("step", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("project", "name", "number", name="dataset_versions_pkey"),
    )
    op.create_index("dataset_versions_by_time", "dataset_versions", ["project", "created", "name", "number"])


def _lineage() -> None:
    identifier = _identifier()
    op.create_table(
        "dataset_parents",
        sa.Column("project", identifier, nullable=False),
        sa.Column("name", identifier, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("parent_name", identifier, nullable=False),
        sa.Column("parent_number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "project", "name", "number", "parent_name", "parent_number", name="dataset_parents_pkey"
        ),
    )
    op.create_index("dataset_parents_by_parent", "dataset_parents", ["project", "parent_name", "parent_number"])
    op.create_table(
        "dataset_media",
        sa.Column("project", identifier, nullable=False),
        sa.Column("name", identifier, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("digest", identifier, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "name", "number", "digest", name="dataset_media_pkey"),
    )
    op.create_index("dataset_media_by_digest", "dataset_media", ["digest"])
    op.create_table(
        "dataset_uses",
        sa.Column("project", identifier, nullable=False),
        sa.Column("name", identifier, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("kind", identifier, nullable=False),
        sa.Column("user", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "name", "number", "kind", "user", name="dataset_uses_pkey"),
    )
