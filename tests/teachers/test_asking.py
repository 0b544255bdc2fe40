"""When asking a teacher again makes sense."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stillhouse.errors import TeacherError
from stillhouse.teachers.asking import Failure, Patience, read_retry_after, wait_before_retry

PATIENCE = Patience(total=10, retries=2, first_wait=1, longest_wait=3)


def failure(status: int | None, retry_after: float | None = None) -> Failure:
    return Failure(TeacherError("no", status), retry_after)


@pytest.mark.parametrize(
    ("status", "again"),
    [(None, True), (429, True), (500, True), (503, True), (400, False), (401, False), (404, False)],
)
def test_only_what_passes_is_tried_again(status, again):
    assert (wait_before_retry(PATIENCE, failure(status), retries=0, elapsed=0) is not None) is again


def test_waits_double_and_end():
    waits = [wait_before_retry(PATIENCE, failure(500), retries, elapsed=0) for retries in range(3)]
    assert waits == [1, 2, None]


def test_jitter_shortens_by_at_most_a_quarter():
    assert wait_before_retry(PATIENCE, failure(500), 0, 0, jitter=1) == 0.75


def test_the_teacher_s_own_wish_is_honoured_within_reason():
    assert wait_before_retry(PATIENCE, failure(429, 2.5), 0, 0) == 2.5
    assert wait_before_retry(PATIENCE, failure(429, 3600), 0, 0) == 3
    assert wait_before_retry(PATIENCE, failure(429, 0), 0, 0) == 1


def test_no_wait_goes_beyond_the_time_there_is():
    assert wait_before_retry(PATIENCE, failure(500), 0, elapsed=9.5) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("2", 2.0), ("0.5", 0.5), ("-3", 0.0),
        ("Sat, 21 Nov 2026 12:00:10 GMT", 10.0), ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_the_header_holds_seconds_or_a_date(value, seconds):
    assert read_retry_after(value, now=datetime(2026, 11, 21, 12, tzinfo=UTC)) == seconds
