"""The tables of the vault, the audit log, legal holds and retention, as the newest migration leaves them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text

from stillhouse.storage.schema import ID, METADATA

__all__ = ["AUDIT_HEAD", "AUDIT_LOG", "DATA_KEYS", "HOLDS", "RETENTION_POLICIES", "VAULT"]

VAULT = Table(
    "vault",
    METADATA,
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("master", ID, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("passing", LargeBinary),
    PrimaryKeyConstraint("id", name="vault_pkey"),
)
"""One row where bodies are encrypted: which master key holds, how often keys have changed, and how far a pass over all
bodies has come (JSON)."""

DATA_KEYS = Table(
    "data_keys",
    METADATA,
    Column("id", ID, nullable=False),
    Column("project", ID, nullable=False),
    Column("kind", ID, nullable=False),
    Column("holder", LargeBinary, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("retired", BigInteger),
    Column("destroyed", BigInteger),
    Column("master", ID, nullable=False),
    Column("wrapped", LargeBinary),
    PrimaryKeyConstraint("id", name="data_keys_pkey"),
    Index("data_keys_by_holder", "project", "kind", "holder", "version", unique=True),
    Index("data_keys_by_master", "master", "id"),
)
"""The keys of bodies, encrypted by a master key; a destroyed one has no `wrapped` any more.

`holder` is a month, or a keyed hash of the subject's name. A retired key opens what it closed, and closes no more.
"""

AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("number", BigInteger, nullable=False, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("project", ID, nullable=False),
    Column("action", ID, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("number", name="audit_log_pkey"),
    Index("audit_log_by_project", "project", "number"),
)
"""What was done, in a chain: `content` is canonical JSON that has the hash of the row before, `hash` its SHA-256."""

AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", ID, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signed_entries", BigInteger),
    Column("signed_hash", LargeBinary),
    Column("signature", LargeBinary),
    Column("master", Text),
    PrimaryKeyConstraint("id", name="audit_head_pkey"),
)
"""One row: how long the chain is and its last hash; and the same where somebody who had the master key last wrote."""

HOLDS = Table(
    "holds",
    METADATA,
    Column("id", ID, nullable=False),
    Column("project", ID, nullable=False),
    Column("subject", LargeBinary),
    Column("completion", ID),
    Column("reason", LargeBinary, nullable=False),
    Column("actor", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="holds_pkey"),
    Index("holds_by_project", "project", "created", "id"),
)
"""What nothing may delete: a subject's calls, one call, or all of a project where neither is named."""

RETENTION_POLICIES = Table(
    "retention_policies",
    METADATA,
    Column("id", ID, nullable=False),
    Column("project", ID, nullable=False),
    Column("seconds", BigInteger, nullable=False),
    Column("model", LargeBinary),
    Column("metadata", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="retention_policies_pkey"),
    Index("retention_policies_by_project", "project", "created", "id"),
)
"""How long a project's calls are kept: all of them, or those with a model and pairs of metadata (JSON)."""
