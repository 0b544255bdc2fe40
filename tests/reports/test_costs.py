"""The bills of teacher, student and cascade."""

from __future__ import annotations

import math

import pytest

from stillhouse.reports.costs import CallSize, CostAssumptions, account, estimate_call


def test_the_bills_follow_from_the_stated_prices():
    bills = account(CallSize(400, 20, estimated=False), 1000.0, 2, 0.75, CostAssumptions())
    assert bills.teacher.usd == pytest.approx(1000 * (400 * 2.5 + 20 * 10) / 1e6)
    assert bills.teacher.wh == pytest.approx(300)
    assert bills.core_seconds_per_answer == pytest.approx(0.002)
    assert bills.student.usd == pytest.approx(2 / 3600 * 0.04)
    assert bills.student.wh == pytest.approx(2 / 3600 * 10)
    assert bills.cascade.usd == pytest.approx(bills.student.usd + 0.25 * bills.teacher.usd)


def test_a_student_that_keeps_nothing_makes_the_cascade_dearer():
    bills = account(CallSize(400, 20, estimated=False), 10.0, 2, 0.0, CostAssumptions())
    assert bills.cascade.saved_against(bills.teacher) < 0


def test_unknown_throughput_and_free_teachers_are_not_made_up():
    bills = account(estimate_call(0, 0), 0.0, 2, 0.5, CostAssumptions())
    assert math.isnan(bills.student.usd)
    assert math.isnan(bills.student.saved_against(bills.teacher))


def test_four_characters_are_a_token():
    call = estimate_call(1000, 40)
    assert (call.prompt_tokens, call.answer_tokens, call.estimated) == (250, 10, True)
