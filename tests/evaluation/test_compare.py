"""Two runs are compared on the rows they share, and the interval covers as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from stillhouse.errors import CannotCertify
from stillhouse.evaluation.compare import Outcome, compare_runs, mean_difference
from stillhouse.evaluation.paired import tango_interval

PASS, FAIL, ERROR = Outcome(True, {"s": 1.0}), Outcome(False, {"s": 0.25}), Outcome(None, {})


def test_rows_are_paired_by_number():
    first = {0: PASS, 1: PASS, 2: FAIL, 3: FAIL, 4: PASS, 5: ERROR, 6: PASS}
    second = {1: PASS, 0: FAIL, 2: PASS, 3: PASS, 4: ERROR, 5: PASS, 7: PASS}
    told = compare_runs(first, second)
    assert (told.gained, told.lost, told.left_out, told.passing.rows) == ((2, 3), (0,), 4, 4)
    assert (told.passing.teacher_accuracy, told.passing.student_accuracy) == (0.5, 0.75)
    assert told.passing.interval == tango_interval(2, 1, 4, 0.95)
    score = told.scores["s"]
    assert (score.first, score.second, score.rows) == (0.625, 0.8125, 4)
    assert score.difference == pytest.approx(0.1875)
    assert score.interval[0] <= score.difference <= score.interval[1]


def test_a_criterion_counts_where_both_runs_have_its_score():
    first = {0: Outcome(True, {"a": 1.0, "b": 0.5}), 1: Outcome(True, {"a": 0.0}), 2: Outcome(True, {"c": 1.0})}
    second = {0: Outcome(True, {"a": 0.0}), 1: Outcome(True, {"a": 1.0, "b": 1.0}), 2: Outcome(True, {"c": 1.0})}
    told = compare_runs(first, second)
    assert {name: one.rows for name, one in told.scores.items()} == {"a": 2, "c": 1}
    assert told.scores["c"].interval == (0.0, 0.0)


def test_runs_that_share_no_row_cannot_be_compared():
    for first, second in (({0: PASS}, {1: PASS}), ({0: ERROR}, {0: PASS}), ({}, {})):
        with pytest.raises(CannotCertify, match="no row"):
            compare_runs(first, second)


def test_the_interval_is_close_to_student_s_where_scores_are_normal():
    draws = np.random.default_rng(0)
    first = draws.normal(0.5, 0.2, 400)
    second = first + draws.normal(0.03, 0.1, 400)
    told = mean_difference(first, second, 0.9)
    low, high = stats.ttest_rel(second, first).confidence_interval(0.9)
    assert told.interval == pytest.approx((low, high), abs=5e-4)
    assert told == mean_difference(first, second, 0.9)


def test_it_covers_about_as_often_as_it_says():
    """Differences that lean to one side, 60 at a time, whose mean is 0.1."""
    draws = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        first = draws.uniform(0, 1, 60)
        low, high = mean_difference(first, first + draws.gamma(2.0, 0.2, 60) - 0.3, 0.9, trial).interval
        covered += low <= 0.1 <= high
    assert covered / 200 == pytest.approx(0.9, abs=0.06)
