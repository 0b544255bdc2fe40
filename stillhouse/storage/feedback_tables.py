"""The tables of what people say: feedback on stored calls, and items that wait for somebody to look at them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, LargeBinary, PrimaryKeyConstraint, Table, Text

from stillhouse.storage.schema import ID, METADATA

__all__ = ["FEEDBACK", "REVIEWS"]

FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("completion", ID, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("subject", LargeBinary),
    PrimaryKeyConstraint("project", "id", name="feedback_pkey"),
    Index("feedback_by_time", "project", "created", "id"),
    Index("feedback_by_completion", "project", "completion", "created", "id"),
)
"""What was said of a stored completion; `content` is JSON, `subject` the subject of that call, in UTF-8."""

REVIEWS = Table(
    "reviews",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("worth", Float(53), nullable=False),
    Column("state", Text, nullable=False),
    Column("item", ID, nullable=False),
    Column("origin", ID, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("subject", LargeBinary),
    PrimaryKeyConstraint("project", "id", name="reviews_pkey"),
    Index("reviews_by_worth", "project", "state", "worth", "id"),
    Index("reviews_by_item", "project", "item", unique=True),
)
"""Items of datasets that a person is to look at; `content` is JSON: the item, and what was said of it."""
