"""When a call may begin, and what is done after one that failed: decisions without a clock of their own."""

from __future__ import annotations

import json

import pytest

from stillhouse.errors import TeacherError, UsageError
from stillhouse.generation.limits import Limits, Pace, Step, advise, reason_of
from stillhouse.teachers.asking import Failure

LIMITS = Limits(at_once=8, first_wait=1, longest_wait=8, retries=3)


def failed(status: int | None, retry_after: float | None = None, **envelope) -> Failure:
    body = json.dumps({"error": envelope}).encode() if envelope else b"<html>"
    return Failure(TeacherError("no", status, body), retry_after)


@pytest.mark.parametrize(
    ("status", "step"),
    [
        ((None, 500, 503, 408, 409), Step.RETRY),
        ((429,), Step.COOL),
        ((400, 413, 422), Step.REFUSED),
        ((401, 402, 403, 404, 200), Step.USELESS),
    ],
)
def test_what_is_done_goes_by_the_status(status, step):
    assert {advise(LIMITS, failed(each), 0, 0, 0.0).step for each in status} == {step}


def test_no_money_is_no_throttle():
    assert advise(LIMITS, failed(429, code="insufficient_quota"), 0, 0, 0.0).step is Step.USELESS
    assert advise(LIMITS, failed(429, code="rate_limit_exceeded"), 0, 0, 0.0).step is Step.COOL


def test_waits_double_up_to_the_longest_and_retries_end():
    waits = [advise(LIMITS, failed(500), retries, 0, 0.0) for retries in range(4)]
    assert [advice.wait for advice in waits[:3]] == [1, 2, 4]
    assert waits[3].step is Step.GIVEN_UP
    assert [advise(LIMITS, failed(429), 9, coolings, 0.0).wait for coolings in range(5)] == [1, 2, 4, 8, 8]
    assert advise(LIMITS, failed(429, retry_after=100.0), 0, 0, 0.5).wait == 100
    assert advise(LIMITS, failed(500), 0, 0, 1.0).wait == 0.75


def test_a_reason_has_the_words_of_the_teacher():
    assert reason_of(failed(400, message="Too rude.")) == "no It says: Too rude."
    assert reason_of(failed(500)) == "no"


def test_no_minute_holds_more_than_it_may():
    pace, now, begun = Pace(Limits(per_minute=30, tokens_per_minute=6000)), 0.0, []
    for number in range(200):
        now += pace.wait(now)
        begun.append((now, tokens := 100 + number * 3 % 400))
        pace.begin(now, tokens)
    for at, _ in begun:
        window = [tokens for when, tokens in begun if at <= when < at + 60]
        assert len(window) <= 30
        assert sum(window[:-1]) <= 6000


def test_a_throttle_stops_everybody_and_halves_what_is_under_way():
    pace = Pace(LIMITS)
    assert (pace.wait(0), pace.room) == (0, 8)
    pace.cool(10, 5)
    pace.cool(10.1, 3)
    assert (pace.wait(11), pace.coolings, pace.room) == (4, 1, 4)
    pace.cool(15, 1)
    assert (pace.room, pace.coolings) == (2, 2)
    for _ in range(100):
        pace.answered()
    assert (pace.room, pace.coolings, pace.wait(17)) == (8, 0, 0)


@pytest.mark.parametrize("wrong", [{"at_once": 0}, {"per_minute": 0}, {"seconds": -1}, {"retries": -1}])
def test_limits_that_are_none_are_refused(wrong):
    with pytest.raises(UsageError):
        Limits(**wrong)
