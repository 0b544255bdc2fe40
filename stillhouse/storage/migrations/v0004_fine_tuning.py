"""Fine-tuning jobs, their events and checkpoints, the models they made; work to be done and who is alive to do it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From the form before."""
    identifier = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    _work(identifier)
    _jobs(identifier)
    _models(identifier)


def _work(identifier: sa.types.TypeEngine[str]) -> None:
    op.create_table(
        "work_orders",
        sa.Column("id", identifier, primary_key=True),
        sa.Column("workflow", sa.Text, nullable=False),
        sa.Column("argument", sa.Text, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("id", identifier, primary_key=True),
        sa.Column("place", identifier, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
    )


def _jobs(identifier: sa.types.TypeEngine[str]) -> None:
    op.create_table(
        "tuning_jobs",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("settled", sa.LargeBinary),
        sa.Column("ends", sa.BigInteger),
        sa.Column("model", identifier),
        sa.Column("tokens", sa.BigInteger),
        sa.Column("result_file", sa.Text),
        sa.Column("error", sa.LargeBinary),
        sa.Column("owner", sa.Text),
        sa.PrimaryKeyConstraint("id", name="tuning_jobs_pkey"),
    )
    op.create_index("tuning_jobs_by_time", "tuning_jobs", ["project", "created", "id"])
    op.create_table(
        "tuning_events",
        sa.Column("id", identifier, primary_key=True),
        sa.Column("job", identifier, nullable=False),
        sa.Column("key", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary),
    )
    op.create_index("tuning_events_by_key", "tuning_events", ["job", "key"], unique=True)
    op.create_index("tuning_events_by_time", "tuning_events", ["job", "created", "id"])


def _models(identifier: sa.types.TypeEngine[str]) -> None:
    op.create_table(
        "tuning_checkpoints",
        sa.Column("id", identifier, primary_key=True),
        sa.Column("job", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("model", identifier, nullable=False),
        sa.Column("metrics", sa.LargeBinary, nullable=False),
    )
    op.create_index("tuning_checkpoints_by_job", "tuning_checkpoints", ["job", "step"], unique=True)
    op.create_table(
        "tuned_models",
        sa.Column("name", identifier, primary_key=True),
        sa.Column("project", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("job", identifier, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
    )
    op.create_index("tuned_models_by_project", "tuned_models", ["project", "created", "name"])
