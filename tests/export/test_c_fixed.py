"""Fixed-point numbers stay near the numbers that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.export.c_fixed import common_multipliers, int8_rows, multiplier, powers, rounded, whole


@given(st.floats(1e-9, 1e6), st.integers(-(2**31), 2**31 - 1))
def test_multiplying_is_near_and_rounds_once(real, value):
    found, shift = multiplier(real)
    assert 2**30 <= found < 2**31
    assert 0 <= shift <= 62
    exact = value * found / 2**shift
    assert abs(int(rounded(np.int64(value * found), shift)) - exact) <= 0.5 + 1e-6 * abs(exact)
    assert found / 2**shift == pytest.approx(real, rel=2**-30)


@pytest.mark.parametrize("real", [0.0, -1.0, float("nan"), float("inf"), 1e12])
def test_what_is_no_scale_is_refused(real):
    with pytest.raises(UsageError, match="scale"):
        multiplier(real)


def test_halves_go_upward():
    assert rounded(np.array([-3, -2, -1, 0, 1, 2, 3]), 1).tolist() == [-1, -1, 0, 0, 1, 1, 2]
    assert rounded(np.array([-3, 3]), 0).tolist() == [-3, 3]


def test_rows_have_a_scale_each_and_zeros_stay_zeros():
    weights = np.array([[1.0, -0.5, 0.004], [0, 0, 0], [100, 1, -100]])
    rows, scales = int8_rows(weights)
    assert rows.tolist() == [[127, -64, 1], [0, 0, 0], [127, 1, -127]]
    assert np.abs(rows * scales[:, None] - weights).max() <= scales.max() / 2


def test_multipliers_with_one_shift():
    reals = np.array([0.5, 0.001, 0.3])
    found, shift = common_multipliers(reals)
    assert found.max() < 2**31
    assert np.allclose(found / 2.0**shift, reals, rtol=1e-6)
    with pytest.raises(UsageError, match="too large"):
        common_multipliers(np.array([1e6]), least=17)


def test_numbers_that_do_not_fit_are_refused():
    assert whole([1.5, -0.25]).tolist() == [98304, -16384]
    with pytest.raises(UsageError, match="32 bits"):
        whole([1e6])


def test_powers_of_two_fall_to_a_half():
    table = powers()
    assert (table[0], table[-1], len(table)) == (2**30, 2**29, 33)
    assert (np.diff(table) < 0).all()
