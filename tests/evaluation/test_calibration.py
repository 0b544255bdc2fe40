"""Temperature scaling finds the minimum, and calibration is measured as defined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from stillhouse.evaluation.calibration import expected_calibration_error, fit_temperature, reliability


def sample(rows: int, labels: int, temperature: float, seed: int = 0):
    """Logits that are `temperature` times too large for the labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(rows, labels)) * 2
    drawn = (special.softmax(logits, axis=1).cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    return (logits * temperature).astype(np.float32), drawn


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_the_likeliest(temperature):
    logits, labels = sample(2000, 7, temperature)

    def unlikelihood(log_temperature: float) -> float:
        scaled = special.log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return -float(scaled[np.arange(len(labels)), labels].mean())

    best = np.exp(
        optimize.minimize_scalar(unlikelihood, bounds=(-1.3, 2.3), method="bounded", options={"xatol": 1e-9}).x
    )
    assert fit_temperature(logits, labels) == pytest.approx(best, rel=1e-4)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.1)


def test_it_stays_within_its_limits():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 500)
    assert fit_temperature(np.eye(4)[labels], labels) == pytest.approx(0.25)  # never wrong: as sure as allowed
    assert fit_temperature(random.normal(size=(500, 4)) * 50, labels) == pytest.approx(10.0)  # guessing loudly
    assert 0.25 <= fit_temperature(np.zeros((500, 4)), labels) <= 10.0  # nothing to scale


def test_rows_without_a_label_are_left_out():
    logits, labels = sample(400, 5, 2.0)
    extended = np.concatenate([logits, np.full((50, 5), 9.0, dtype=np.float32)])
    assert fit_temperature(extended, np.concatenate([labels, np.full(50, -1)])) == fit_temperature(logits, labels)


@pytest.mark.parametrize("rows", [0, 1, 29])
def test_too_few_rows_change_nothing(rows):
    logits, labels = sample(29, 5, 3.0)
    assert fit_temperature(logits[:rows], labels[:rows]) == 1.0


def test_huge_logits_do_not_overflow():
    logits, labels = sample(200, 3, 1000.0)
    assert fit_temperature(logits, labels) == pytest.approx(10.0)


def test_scaling_mends_the_calibration_error():
    logits, labels = sample(4000, 7, 3.0)

    def error(temperature: float) -> float:
        soft = special.softmax(logits / temperature, axis=1)
        return expected_calibration_error(soft.max(axis=1), soft.argmax(axis=1) == labels)

    assert error(1.0) > 0.2
    assert error(fit_temperature(logits, labels)) < 0.03


def test_the_error_is_the_gap_weighted_by_rows():
    confidence = np.array([0.1, 0.2, 0.3, 0.9, 0.9, 0.9])
    correct = np.array([False, True, False, True, True, False])
    expected = (3 * abs(1 / 3 - 0.2) + 3 * abs(2 / 3 - 0.9)) / 6
    assert expected_calibration_error(confidence, correct, bins=2) == pytest.approx(expected)


def test_without_rows_there_is_no_error():
    assert expected_calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0
    assert reliability(np.zeros(0), np.zeros(0, bool)) == ()


def test_bins_hold_about_equally_many_rows_in_rising_order():
    random = np.random.default_rng(0)
    bins = reliability(random.random(1000), random.random(1000) < 0.5, bins=10)
    assert [part.rows for part in bins] == [100] * 10
    assert [part.confidence for part in bins] == sorted(part.confidence for part in bins)


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 1.0]), st.booleans()), min_size=1, max_size=50), st.randoms())
def test_the_order_of_rows_changes_nothing(rows, random):
    def measured(pairs) -> list[tuple[float, float, int]]:
        bins = reliability(np.array([c for c, _ in pairs]), np.array([r for _, r in pairs]))
        return [(part.confidence, part.accuracy, part.rows) for part in bins]

    shuffled = random.sample(rows, len(rows))
    assert measured(shuffled) == [pytest.approx(part) for part in measured(rows)]
    assert sum(part[2] for part in measured(rows)) == len(rows)
