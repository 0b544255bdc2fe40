"""Rounded log-probs keep their error bounds, and so do the masses outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.signals.levels import FLOOR, Levels, decode_tails, encode_tails

steps = st.floats(0.05, 1.0)
root_steps = st.one_of(st.floats(0.002, 0.1), st.just(np.inf))


@settings(deadline=None)
@given(steps, root_steps, st.lists(st.floats(FLOOR, 0.0), min_size=1))
def test_an_error_is_at_most_half_the_spacing(step, root_step, log_probs):
    levels = Levels(step, root_step)
    exact = np.array(log_probs)
    rounded = levels.log_probs[levels.encode(exact)]
    spacing = 1 / (1 / step + np.exp(np.minimum(exact, rounded) / 2) / root_step)
    assert (np.abs(rounded - exact) <= spacing / 2 + 1e-9).all()


@settings(deadline=None)
@given(steps, root_steps)
def test_levels_rise_from_the_floor_and_are_their_own_nearest(step, root_step):
    levels = Levels(step, root_step)
    assert levels.log_probs[0] == pytest.approx(FLOOR, abs=1e-9)
    assert (np.diff(levels.log_probs) > 0).all()
    assert levels.log_probs[-1] <= 0
    assert np.array_equal(levels.encode(levels.log_probs), np.arange(levels.count))


def test_float32_is_rounded_as_well_as_float64():
    levels = Levels()
    exact = np.linspace(-20, 0, 1001)
    assert np.abs(levels.encode(exact) - levels.encode(exact.astype(np.float32))).max() <= 1


def test_the_bound_on_the_divergence_holds():
    random = np.random.default_rng(0)
    levels = Levels()
    exact = np.log(random.dirichlet(np.full(50, 0.3), 500))
    rounded = levels.log_probs[levels.encode(exact)]
    rounded -= np.log(np.exp(rounded).sum(axis=1, keepdims=True))
    divergence = (np.exp(exact) * (exact - rounded)).sum(axis=1)
    assert divergence.max() <= min(levels.step**2, 50 * levels.root_step**2) / 8


@pytest.mark.parametrize(("step", "root_step"), [(0.0, 0.01), (-1.0, 0.01), (np.inf, 0.01), (0.1, 0.0), (np.nan, 1.0)])
def test_steps_are_above_zero(step, root_step):
    with pytest.raises(UsageError, match="above 0"):
        Levels(step, root_step)


def test_too_many_levels_are_refused():
    with pytest.raises(UsageError, match=r"levels; at most 4,094"):
        Levels(0.01, 0.001)


@settings(deadline=None)
@given(st.lists(st.floats(1e-8, 1 - 1e-6), min_size=1))
def test_masses_keep_their_logarithm_and_that_of_the_rest(masses):
    exact = np.array(masses)
    held = decode_tails(encode_tails(exact))
    assert held == pytest.approx(np.log1p(-exact), rel=1e-3, abs=3e-4)
    assert np.log(-np.expm1(held)) == pytest.approx(np.log(exact), abs=3e-4)


def test_no_mass_and_all_mass_stay_finite():
    held = decode_tails(encode_tails(np.array([0.0, 1.0])))
    assert np.isfinite(held).all()
    assert held[0] == pytest.approx(0, abs=3e-9)
