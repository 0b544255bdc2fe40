"""Tango's interval against its definition by likelihood, and against the truth it should cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from stillhouse.evaluation.paired import compare_paired, fewest_pairs, pairs_needed, tango_interval

tables = st.integers(1, 300).flatmap(
    lambda rows: st.integers(0, rows).flatmap(
        lambda gained: st.tuples(st.just(gained), st.integers(0, rows - gained), st.just(rows))
    )
)


def score(gained: int, lost: int, rows: int, difference: float) -> float:
    """Tango's statistic, its nuisance share found by searching the likelihood instead of by formula."""
    equal = rows - gained - lost

    def unlikelihood(losses: float) -> float:
        counts = np.array([lost, gained, equal])
        parts = np.array([losses, losses + difference, 1 - 2 * losses - difference])
        return -float(np.sum(counts[counts > 0] * np.log(np.maximum(parts[counts > 0], 1e-300))))

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    losses = optimize.minimize_scalar(unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return (gained - lost - rows * difference) / math.sqrt(rows * (2 * losses + difference * (1 - difference)))


@pytest.mark.parametrize(("gained", "lost", "rows"), [(12, 9, 200), (1, 20, 500), (30, 3, 60), (5, 5, 1000)])
def test_the_ends_score_as_the_normal_quantile(gained, lost, rows):
    low, high = tango_interval(gained, lost, rows, 0.95)
    z = stats.norm.ppf(0.975)
    assert score(gained, lost, rows, low) == pytest.approx(z, abs=1e-4)
    assert score(gained, lost, rows, high) == pytest.approx(-z, abs=1e-4)


def test_equal_pairs_still_leave_doubt():
    z = stats.norm.ppf(0.975)
    low, high = tango_interval(0, 0, 100, 0.95)
    assert (low, high) == pytest.approx((-z * z / (100 + z * z), z * z / (100 + z * z)))


def test_the_ends_of_the_scale():
    assert tango_interval(50, 0, 50, 0.95)[1] == 1.0
    assert tango_interval(0, 50, 50, 0.95)[0] == -1.0


@given(tables)
def test_it_contains_what_was_observed_and_mirrors(table):
    gained, lost, rows = table
    low, high = tango_interval(gained, lost, rows, 0.95)
    assert -1.0 <= low <= (gained - lost) / rows <= high <= 1.0
    assert tango_interval(lost, gained, rows, 0.95) == pytest.approx((-high, -low))


def test_it_covers_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    gained, lost = 0.03, 0.05
    draws = random.multinomial(300, [gained, lost, 1 - gained - lost], 1000)
    intervals = [tango_interval(int(a), int(b), 300, 0.95) for a, b, _ in draws]
    assert np.mean([low <= gained - lost <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.02)


def test_the_statement_counts_who_is_right():
    student = np.array([True, True, False, False, True])
    teacher = np.array([True, False, True, True, True])
    paired = compare_paired(student, teacher, 0.95)
    assert (paired.student_accuracy, paired.teacher_accuracy, paired.rows) == (0.6, 0.8, 5)
    assert paired.difference == pytest.approx(-0.2)
    assert paired.discordance == pytest.approx(0.6)
    assert paired.interval == tango_interval(1, 2, 5, 0.95)


def test_fewest_pairs_are_the_first_that_can_show_it():
    rows = fewest_pairs(0.02, 0.95)
    assert tango_interval(0, 0, rows, 0.95)[0] >= -0.02 > tango_interval(0, 0, rows - 1, 0.95)[0]


def test_needed_pairs_settle_it_four_times_in_five():
    random = np.random.default_rng(1)
    student, teacher = np.ones(1000, bool), np.ones(1000, bool)
    student[:40] = teacher[40:80] = False  # 8% of rows differ, none better than the other
    rows = pairs_needed(compare_paired(student, teacher, 0.95), 0.02, 0.95)
    assert rows == pytest.approx(1570, abs=10)
    draws = random.multinomial(rows, [0.04, 0.04, 0.92], 1000)
    shown = [tango_interval(int(a), int(b), rows, 0.95)[0] >= -0.02 for a, b, _ in draws]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.05)


def test_no_pairs_suffice_on_or_over_the_margin():
    student, teacher = np.zeros(50, bool), np.ones(50, bool)
    assert pairs_needed(compare_paired(student, teacher, 0.95), 0.02, 0.95) is None
