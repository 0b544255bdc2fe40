"""Tails, bounds and needed rows against SciPy, exact fractions and their own definitions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stillhouse.evaluation.binomial import (
    at_least,
    at_most,
    clopper_pearson,
    lower_bound,
    rows_needed,
    rows_without_failure,
    upper_bound,
)

CASES = [
    (count, rows)
    for rows in (1, 2, 15, 16, 17, 50, 1_000, 3_080, 100_000, 10_000_000)
    for count in sorted({0, 1, rows // 3, rows // 2, int(rows * 0.98), rows - 1, rows})
]
counts = st.integers(1, 400).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows)))
shares = st.floats(1e-6, 1 - 1e-6)


@pytest.mark.parametrize(("count", "rows"), CASES)
def test_tails_are_those_of_scipy(count, rows):
    for share in (1e-9, 0.001, 0.02, 0.5, 0.98, 1 - 1e-6, (count + 0.5) / (rows + 1)):
        assert at_most(count, rows, share) == pytest.approx(stats.binom.cdf(count, rows, share), abs=1e-10)
        assert at_least(count, rows, share) == pytest.approx(stats.binom.sf(count - 1, rows, share), abs=1e-9)


@pytest.mark.parametrize(("count", "rows", "share"), [(7, 7, 1e-9), (3, 40, 0.001), (60, 200, 0.02), (190, 200, 0.5)])
def test_small_tails_keep_their_digits(count, rows, share):
    p = Fraction(share)
    exact = sum(math.comb(rows, i) * p**i * (1 - p) ** (rows - i) for i in range(count, rows + 1))
    assert at_least(count, rows, share) == pytest.approx(float(exact), rel=1e-11)


@pytest.mark.parametrize(("count", "rows"), CASES)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_the_interval_is_that_of_scipy(count, rows, confidence):
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, count, rows - count + 1) if count else 0.0
    high = stats.beta.isf(tail, count + 1, rows - count) if count < rows else 1.0
    assert clopper_pearson(count, rows, confidence) == pytest.approx((low, high), abs=1e-10, rel=1e-9)


def test_impossible_counts_have_probability_zero_or_one():
    assert (at_most(-1, 5, 0.3), at_most(5, 5, 0.3), at_most(9, 5, 0.3)) == (0.0, 1.0, 1.0)
    assert (at_least(0, 5, 0.3), at_least(6, 5, 0.3), at_least(-2, 5, 0.3)) == (1.0, 0.0, 1.0)
    assert (at_most(0, 5, 0.0), at_most(4, 5, 1.0), at_least(1, 5, 0.0), at_least(5, 5, 1.0)) == (1.0, 0.0, 0.0, 1.0)


def test_without_rows_anything_is_possible():
    assert clopper_pearson(0, 0, 0.95) == (0.0, 1.0)
    assert at_most(0, 0, 0.02) == 1.0


@pytest.mark.parametrize(("count", "rows", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 0.0)])
def test_an_interval_of_nonsense_is_refused(count, rows, confidence):
    with pytest.raises(ValueError, match="No interval"):
        clopper_pearson(count, rows, confidence)


@given(counts, shares)
def test_the_two_tails_make_one(case, share):
    count, rows = case
    assert at_most(count, rows, share) + at_least(count + 1, rows, share) == pytest.approx(1.0, abs=1e-12)


@given(counts, st.floats(0.01, 0.999))
def test_a_bound_is_where_its_test_turns(case, confidence):
    count, rows = case
    low, high = lower_bound(count, rows, confidence), upper_bound(count, rows, confidence)
    assert low <= count / rows <= high or confidence < 0.5
    if count:
        assert at_least(count, rows, low) == pytest.approx(1 - confidence, rel=1e-9)
    if count < rows:
        assert at_most(count, rows, high) == pytest.approx(1 - confidence, rel=1e-9)


@given(counts, st.floats(0.01, 0.999))
def test_the_interval_mirrors(case, confidence):
    count, rows = case
    low, high = clopper_pearson(count, rows, confidence)
    assert clopper_pearson(rows - count, rows, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@settings(max_examples=30)
@given(st.integers(1, 60), shares, st.sampled_from([0.8, 0.95]))
def test_the_interval_covers_as_often_as_promised(rows, share, confidence):
    intervals = [clopper_pearson(count, rows, confidence) for count in range(rows + 1)]
    covered = sum(
        stats.binom.pmf(count, rows, share) for count, (low, high) in enumerate(intervals) if low <= share <= high
    )
    assert covered >= confidence - 1e-9


@pytest.mark.parametrize(("limit", "confidence", "rows"), [(0.02, 0.95, 149), (0.02, 0.975, 183), (0.1, 0.9, 22)])
def test_fewest_rows_are_the_first_that_can_show_it(limit, confidence, rows):
    assert rows_without_failure(limit, confidence) == rows
    assert upper_bound(0, rows, confidence) <= limit < upper_bound(0, rows - 1, confidence)


@pytest.mark.parametrize("share", [0.0, 0.002, 0.01, 0.017])
def test_needed_rows_give_the_power_they_speak_of(share):
    rows = rows_needed(share, 0.02, 0.95)
    assert rows is not None
    passing = stats.binom.ppf(0.05, rows, 0.02)
    most = passing if stats.binom.cdf(passing, rows, 0.02) <= 0.05 else passing - 1
    assert stats.binom.cdf(most, rows, share) >= 0.8
    assert upper_bound(int(most), rows, 0.95) <= 0.02 < upper_bound(int(most) + 1, rows, 0.95)


def test_no_rows_suffice_on_or_over_the_limit():
    assert rows_needed(0.02, 0.02, 0.95) is None
    assert rows_needed(0.5, 0.02, 0.95) is None
    assert rows_needed(0.02 - 1e-9, 0.02, 0.95) is None
