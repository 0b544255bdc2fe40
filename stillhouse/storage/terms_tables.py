"""The tables of teachers' terms and of erasures, as the newest migration leaves them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, PrimaryKeyConstraint, Table

from stillhouse.storage.schema import ID, METADATA

__all__ = ["ERASURES", "ERASURE_STEPS", "TEACHER_TERMS"]

TEACHER_TERMS = Table(
    "teacher_terms",
    METADATA,
    Column("teacher", ID, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("teacher", name="teacher_terms_pkey"),
)
"""What may be done with what a teacher answers, by its name; `content` is JSON."""

ERASURES = Table(
    "erasures",
    METADATA,
    Column("id", ID, nullable=False),
    Column("project", ID, nullable=False),
    Column("subject", ID, nullable=False),
    Column("begun", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("receipt", LargeBinary),
    PrimaryKeyConstraint("id", name="erasures_pkey"),
    Index("erasures_by_subject", "project", "subject", "begun"),
)
"""Who was erased and when: `subject` is a keyed hash of the name, `receipt` signed JSON once all is done."""

ERASURE_STEPS = Table(
    "erasure_steps",
    METADATA,
    Column("erasure", ID, nullable=False),
    Column("name", ID, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("erasure", "name", name="erasure_steps_pkey"),
)
"""What an erasure was about to do, or has done, so that one which was killed goes on; `content` is JSON."""
