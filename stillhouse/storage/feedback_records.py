"""Feedback and reviews as they come out of the database; knows no database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["ReviewState", "StoredFeedback", "StoredReview"]


@dataclass(frozen=True, slots=True)
class StoredFeedback:
    """What was said of a stored completion; `content` is JSON, `created` in Unix seconds."""

    id: str
    created: int
    completion: str
    content: bytes
    subject: str | None = None


class ReviewState(StrEnum):
    """How far a review has come."""

    WAITING = "waiting"
    DONE = "done"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StoredReview:
    """An item that a person is to look at; `content` is JSON, `created` in Unix seconds."""

    id: str
    created: int
    worth: float
    """What a look at it is expected to be worth; the largest come first."""
    state: ReviewState
    item: str
    """The item's id; each is in the queue once."""
    origin: str
    """The dataset version that it was taken from."""
    content: bytes
    subject: str | None = None
