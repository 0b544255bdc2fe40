"""The tables, as the newest migration leaves them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, MetaData, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["API_KEYS", "COMPLETIONS", "DELETED", "METADATA", "PROJECTS", "TERMS"]

METADATA = MetaData()

ID = Text().with_variant(TEXT(collation="C"), "postgresql")
"""An id: compared byte by byte on every database, because pages are cut by it."""

PROJECTS = Table(
    "projects",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("created", BigInteger, nullable=False),
)
"""Whose a row is: a key of one project reads nothing of another."""

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("project", ID, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("shown", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("used", BigInteger),
    Index("api_keys_by_digest", "digest", unique=True),
)
"""Keys by the SHA-256 of their secret, which is kept nowhere; times are in Unix seconds."""

COMPLETIONS = Table(
    "completions",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("asked", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("metadata", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("messages", LargeBinary, nullable=False),
    PrimaryKeyConstraint("project", "id", name="completions_pkey"),
    Index("completions_by_time", "project", "created", "id"),
)
"""Stored completions; `metadata`, `answer` and `messages` are JSON."""

TERMS = Table(
    "completion_terms",
    METADATA,
    Column("term", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("id", ID, nullable=False),
    PrimaryKeyConstraint("term", "created", "id", name="completion_terms_pkey"),
    sqlite_with_rowid=False,
)
"""What completions are found by: one row per completion and model or pair of metadata, in the order of pages."""

DELETED = Table(
    "deleted_completions",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "id", name="deleted_completions_pkey"),
)
"""Where deleted completions stood, so that whoever has one as a cursor can go on; nothing of what they said."""
