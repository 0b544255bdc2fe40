"""The subject of a stored call; the terms of teachers; erasures, what each has done, and their receipts."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0008"
down_revision = "0007"

TOGETHER = 500


def upgrade() -> None:
    """From the form before; calls that are there already get the subject that their JSON names."""
    identifier = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    op.add_column("completions", sa.Column("subject", sa.LargeBinary))
    op.create_table(
        "teacher_terms",
        sa.Column("teacher", identifier, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("teacher", name="teacher_terms_pkey"),
    )
    op.create_table(
        "erasures",
        sa.Column("id", identifier, nullable=False),
        sa.Column("project", identifier, nullable=False),
        sa.Column("subject", identifier, nullable=False),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger),
        sa.Column("receipt", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="erasures_pkey"),
    )
    op.create_index("erasures_by_subject", "erasures", ["project", "subject", "begun"])
    op.create_table(
        "erasure_steps",
        sa.Column("erasure", identifier, nullable=False),
        sa.Column("name", identifier, nullable=False),
        sa.Column("done", sa.Boolean, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("erasure", "name", name="erasure_steps_pkey"),
    )
    _name_subjects(op.get_bind())


def _name_subjects(connection: sa.Connection) -> None:
    """Give calls that were kept before their subjects, and a term to be found by."""
    text, content = sa.Text(), sa.LargeBinary()
    table = sa.table(
        "completions",
        sa.column("project", text),
        sa.column("id", text),
        sa.column("created", sa.BigInteger()),
        sa.column("metadata", content),
        sa.column("answer", content),
    )
    place = sa.tuple_(table.c.project, table.c.id)
    after: tuple[str, str] | None = None
    while True:
        query: sa.Select[Any] = sa.select(table).order_by(table.c.project, table.c.id).limit(TOGETHER)
        if after is not None:
            query = query.where(place > sa.tuple_(sa.literal(after[0]), sa.literal(after[1])))
        rows: list[Any] = list(connection.execute(query).all())
        if not rows:
            return
        after = rows[-1].project, rows[-1].id
        for row in rows:
            subject = _subject(row.metadata, row.answer)
            if subject is not None:
                _name(connection, row, subject)


def _subject(metadata: bytes, answer: bytes) -> str | None:
    if b'"subject"' not in metadata and b'"input_user":null' in answer:
        return None
    try:
        for value in (orjson.loads(metadata).get("subject"), orjson.loads(answer).get("input_user")):
            if isinstance(value, str) and value:
                return value
    except (ValueError, AttributeError):  # what cannot be read names nobody
        pass
    return None


def _name(connection: sa.Connection, row: Any, subject: str) -> None:
    term = hashlib.sha256(orjson.dumps((row.project, "subject", subject))).digest()[:16]
    completions = sa.table("completions", sa.column("project"), sa.column("id"), sa.column("subject", sa.LargeBinary))
    mine = (completions.c.project == row.project) & (completions.c.id == row.id)
    connection.execute(sa.update(completions).where(mine).values(subject=subject.encode()))
    terms = sa.table("completion_terms", sa.column("term", sa.LargeBinary), sa.column("created"), sa.column("id"))
    connection.execute(sa.insert(terms).values(term=term, created=row.created, id=row.id))
