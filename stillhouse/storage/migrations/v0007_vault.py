"""The keys of encrypted bodies, the audit log, legal holds and retention by project."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """From the form before."""
    identifier = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    _vault(identifier)
    _audit(identifier)
    _deletion(identifier)


def _vault(identifier: sa.types.TypeEngine[str]) -> None:
    op.create_table(
        "vault",
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("master", identifier, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("passing", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="vault_pkey"),
    )
    op.create_table(
        "data_keys",
        sa.Column("id", identifier, nullable=False),
        sa.Column("project", identifier, nullable=False),
        sa.Column("kind", identifier, nullable=False),
        sa.Column("holder", sa.LargeBinary, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("retired", sa.BigInteger),
        sa.Column("destroyed", sa.BigInteger),
        sa.Column("master", identifier, nullable=False),
        sa.Column("wrapped", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="data_keys_pkey"),
    )
    op.create_index("data_keys_by_holder", "data_keys", ["project", "kind", "holder", "version"], unique=True)
    op.create_index("data_keys_by_master", "data_keys", ["master", "id"])


def _audit(identifier: sa.types.TypeEngine[str]) -> None:
    op.create_table(
        "audit_log",
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("project", identifier, nullable=False),
        sa.Column("action", identifier, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name="audit_log_pkey"),
    )
    op.create_index("audit_log_by_project", "audit_log", ["project", "number"])
    op.create_table(
        "audit_head",
        sa.Column("id", identifier, nullable=False),
        sa.Column("entries", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("signed_entries", sa.BigInteger),
        sa.Column("signed_hash", sa.LargeBinary),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("master", sa.Text),
        sa.PrimaryKeyConstraint("id", name="audit_head_pkey"),
    )


def _deletion(identifier: sa.types.TypeEngine[str]) -> None:
    op.create_table(
        "holds",
        sa.Column("id", identifier, nullable=False),
        sa.Column("project", identifier, nullable=False),
        sa.Column("subject", sa.LargeBinary),
        sa.Column("completion", identifier),
        sa.Column("reason", sa.LargeBinary, nullable=False),
        sa.Column("actor", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="holds_pkey"),
    )
    op.create_index("holds_by_project", "holds", ["project", "created", "id"])
    op.create_table(
        "retention_policies",
        sa.Column("id", identifier, nullable=False),
        sa.Column("project", identifier, nullable=False),
        sa.Column("seconds", sa.BigInteger, nullable=False),
        sa.Column("model", sa.LargeBinary),
        sa.Column("metadata", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="retention_policies_pkey"),
    )
    op.create_index("retention_policies_by_project", "retention_policies", ["project", "created", "id"])
