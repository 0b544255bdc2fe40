"""Files and chunked uploads."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From the form before."""
    identifier = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    identity = op.create_table("identity", sa.Column("id", identifier, primary_key=True))
    op.bulk_insert(identity, [{"id": secrets.token_hex(8)}])
    op.create_table(
        "files",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("purpose", identifier, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("digest", identifier, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.PrimaryKeyConstraint("project", "id", name="files_pkey"),
    )
    op.create_index("files_by_time", "files", ["project", "created", "id"])
    op.create_index("files_by_purpose", "files", ["project", "purpose", "created", "id"])
    op.create_index("files_by_digest", "files", ["digest"])
    op.create_index("files_by_expiry", "files", ["expires"])
    op.create_table(
        "deleted_files",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project", "id", name="deleted_files_pkey"),
    )
    op.create_table(
        "uploads",
        sa.Column("project", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("purpose", identifier, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("lasts", sa.BigInteger),
        sa.Column("state", identifier, nullable=False),
        sa.Column("file", identifier),
        sa.PrimaryKeyConstraint("project", "id", name="uploads_pkey"),
    )
    op.create_index("uploads_by_expiry", "uploads", ["state", "expires"])
    op.create_table(
        "upload_parts",
        sa.Column("project", identifier, nullable=False),
        sa.Column("upload", identifier, nullable=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("digest", identifier, nullable=False),
        sa.PrimaryKeyConstraint("project", "upload", "id", name="upload_parts_pkey"),
    )
    op.create_index("upload_parts_by_digest", "upload_parts", ["digest"])
