"""Evals, their runs and output items."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From the form before."""
    identifier = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    op.create_table(
        "evals",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("metadata", sa.LargeBinary, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name="evals_pkey"),
    )
    op.create_index("evals_by_time", "evals", ["project", "created", "id"])
    op.create_index("evals_by_update", "evals", ["project", "updated", "id"])
    op.create_table(
        "eval_runs",
        sa.Column("project", identifier, nullable=False),
        sa.Column("eval_id", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("model", sa.LargeBinary),
        sa.Column("metadata", sa.LargeBinary, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("source", sa.LargeBinary, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
        sa.Column("error", sa.LargeBinary),
        sa.Column("chosen", sa.LargeBinary),
        sa.PrimaryKeyConstraint("project", "eval_id", "id", name="eval_runs_pkey"),
    )
    op.create_index("eval_runs_by_time", "eval_runs", ["project", "eval_id", "created", "id"])
    op.create_index("eval_runs_by_id", "eval_runs", ["id"], unique=True)
    op.create_table(
        "eval_items",
        sa.Column("run_id", identifier, nullable=False),
        sa.Column("row", sa.BigInteger, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "row", name="eval_items_pkey"),
    )
    op.create_index("eval_items_by_id", "eval_items", ["run_id", "id"], unique=True)
    op.create_index("eval_items_by_status", "eval_items", ["run_id", "status", "row", "id"])
    op.create_table(
        "deleted_evals",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name="deleted_evals_pkey"),
    )
