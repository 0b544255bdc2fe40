"""TopK and Sampled: temperatures are exact, and positions land where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.errors import UsageError
from stillhouse.signals.told import Sampled, TopK
from tests.signals.tellings import logits, top_k

Z = np.array([[2.0, 1.0, 0.0]])


def log_softmax(z: np.ndarray, temperature: float) -> np.ndarray:
    z = z.astype(np.float64) / temperature
    return z - np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True)) - z.max(-1, keepdims=True)


def test_shifts_have_their_known_values():
    told = TopK.of(Z, 2, temperatures=(2.0,))
    assert told.ids.tolist() == [[0, 1]]
    # lse(z) = 2.40760596444 and lse(z / 2) = 1.68026967064
    assert told.log_probs[0] == pytest.approx([2 - 2.40760596444, 1 - 2.40760596444], abs=1e-6)
    assert told.shifts[2.0] == pytest.approx([2.40760596444 / 2 - 1.68026967064], abs=1e-6)
    assert told.at(2.0)[0] == pytest.approx(log_softmax(Z, 2)[0, :2], abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0, 0.5])
def test_another_temperature_is_exact_with_few_of_the_ids(temperature):
    dense = logits(30)
    told = TopK.of(dense, 8, temperatures=(0.5, 2.0, 4.0))
    exact = np.take_along_axis(log_softmax(dense, temperature), told.ids.astype(np.int64), -1)
    assert told.at(temperature) == pytest.approx(exact, abs=1e-5)
    assert told.tail(temperature) == pytest.approx(1 - np.exp(exact).sum(-1), abs=1e-5)


def test_an_unknown_temperature_is_refused():
    with pytest.raises(UsageError, match="temperatures 1, 2, 4, not 3"):
        top_k(2).at(3.0)


def test_the_likeliest_come_first_and_a_small_vocabulary_is_told_whole():
    told = TopK.of(np.array([[[0.0, 3.0, 1.0]], [[5.0, 4.0, 6.0]]]), 10)
    assert told.ids.tolist() == [[[1, 2, 0]], [[2, 0, 1]]]
    assert told.tail() == pytest.approx(0, abs=1e-6)


def test_positions_and_the_likeliest_are_picked():
    told = top_k(5, k=4)
    assert np.array_equal(told.first(2).ids, told.ids[:, :2])
    assert told.first(2).tail() == pytest.approx(told.tail() + np.exp(told.log_probs[:, 2:]).sum(axis=1), abs=1e-6)
    assert np.array_equal(told[1:3].shifts[4.0], told.shifts[4.0][1:3])
    assert np.array_equal(Sampled(told.ids, told.ids)[2].counts, told.ids[2])


def test_positions_are_spread_over_rows():
    told = top_k(3, k=4)
    spread = told.spread(np.array([0, 4, 5]), (2, 3))
    assert spread.ids.shape == (2, 3, 4)
    assert np.array_equal(spread.ids[1, 1:], told.ids[1:])
    assert (spread.log_probs[0, 1:] == -np.inf).all()
    assert not spread.there[0, 1:].any()
    assert spread.shifts[2.0][0].tolist() == [told.shifts[2.0][0], 0, 0]


def test_draws_are_spread_over_rows():
    told = Sampled(np.array([[4, 2]], dtype=np.int32), np.array([[3, 1]], dtype=np.int32))
    spread = told.spread(np.array([1]), (1, 2))
    assert spread.counts.tolist() == [[[0, 0], [3, 1]]]
    assert spread.there.tolist() == [[[False, False], [True, True]]]
