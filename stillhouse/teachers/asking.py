"""When to ask a teacher again, and how long to wait before: decisions only, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from stillhouse.errors import TeacherError

__all__ = ["Failure", "Patience", "read_retry_after", "wait_before_retry"]


@dataclass(frozen=True)
class Patience:
    """How long a teacher may take; all times are in seconds."""

    total: float = 60.0
    """For one answer, retries included."""
    connect: float = 5.0
    retries: int = 2
    first_wait: float = 0.25
    """Doubles with every retry."""
    longest_wait: float = 10.0
    """However long the teacher asks us to wait."""


@dataclass(frozen=True)
class Failure:
    """One attempt that failed, and what to raise if it is not tried again."""

    error: TeacherError
    retry_after: float | None = None
    """Seconds the teacher asked to be left alone for."""
    doubtful: bool = False
    """Whether the call may have been answered, and paid for, all the same: its answer was lost on the way."""


def wait_before_retry(
    patience: Patience, failure: Failure, retries: int, elapsed: float, jitter: float = 0.0
) -> float | None:
    """Seconds to wait before asking again, or None when asking again is useless or too late.

    Overload (429), a teacher's own trouble (5xx) and lost connections pass; other refusals do not.
    `retries` were made already, in `elapsed` seconds; `jitter` (0..1) takes up to a quarter off the
    wait, so that many callers do not come back at once.
    """
    status = failure.error.status
    passes = status is None or status == 429 or status >= 500
    if not passes or retries >= patience.retries:
        return None
    wait = patience.first_wait * 2**retries * (1 - jitter / 4)
    if failure.retry_after is not None:
        wait = max(wait, failure.retry_after)
    wait = min(wait, patience.longest_wait)
    return wait if elapsed + wait < patience.total else None


def read_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds in a Retry-After header, which holds a number or a date; None when it says nothing."""
    if not value:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - (now or datetime.now(UTC))).total_seconds(), 0.0)
