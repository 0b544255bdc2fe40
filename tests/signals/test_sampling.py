"""Draws are unbiased, belong to their sample, and never name what has no probability."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from stillhouse.errors import UsageError
from stillhouse.signals.sampling import draw_tokens
from stillhouse.signals.told import Sampled
from tests.signals.tellings import logits

B = np.log(np.array([0.7, 0.2, 0.1]))


def shares(told: Sampled, vocabulary: int) -> np.ndarray:
    """counts / draws of each position, dense: `[positions, vocabulary]`."""
    dense = np.zeros((len(told.ids), vocabulary))
    np.add.at(dense, (np.arange(len(told.ids))[:, None], told.ids), told.counts)
    return dense / told.counts.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("vocabulary", [7, 300, 2000])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_draws_pass_a_chi_square_test(vocabulary, temperature):
    row = logits(1, vocabulary, seed=5)[0].astype(np.float64) / temperature
    expected = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
    positions, draws = 400, 50
    dense = np.broadcast_to(logits(1, vocabulary, seed=5), (positions, vocabulary))
    seen = shares(draw_tokens(dense, draws, "s", temperature=temperature), vocabulary).sum(axis=0) * draws
    wanted = expected * positions * draws
    often = wanted >= 5
    seen, wanted = np.append(seen[often], seen[~often].sum()), np.append(wanted[often], wanted[~often].sum() + 1e-9)
    statistic = ((seen - wanted) ** 2 / wanted)[wanted >= 5].sum()
    assert statistic < chi2.ppf(1 - 1e-6, int((wanted >= 5).sum()) - 1)


@pytest.mark.parametrize(("draws", "unique"), [(1, 1.0), (2, 1.46), (4, 1.9262)])
def test_draws_have_their_known_expectations(draws, unique):
    positions = 20_000
    told = draw_tokens(np.broadcast_to(B, (positions, 3)), draws, "s")
    assert told.there.sum(axis=1).mean() == pytest.approx(unique, abs=0.02)
    target = shares(told, 3)
    assert target.mean(axis=0) == pytest.approx(np.exp(B), abs=0.015)
    assert target.var(axis=0) == pytest.approx(np.exp(B) * (1 - np.exp(B)) / draws, abs=0.01)
    student = np.log([0.2, 0.5, 0.3])
    assert -(target * student).sum(axis=1).mean() == pytest.approx(1.38563325525, abs=0.015)


def test_draws_depend_on_the_sample_and_not_on_its_neighbours():
    dense = logits(70)
    whole = draw_tokens(dense, 20, "one", seed=3)
    again = draw_tokens(dense[:40], 20, "one", seed=3)
    width = again.ids.shape[1]
    assert np.array_equal(whole.ids[:40, :width], again.ids)
    assert np.array_equal(whole.counts[:40, :width], again.counts)
    for other in (draw_tokens(dense, 20, "two", seed=3), draw_tokens(dense, 20, "one", seed=4)):
        assert other.ids.shape != whole.ids.shape or not np.array_equal(other.ids, whole.ids)


def test_counts_fall_and_add_up():
    told = draw_tokens(logits(50), 30, "s")
    assert (told.counts.sum(axis=1) == 30).all()
    assert (np.diff(told.counts, axis=1) <= 0).all()
    assert all(
        len(set(ids[counts > 0])) == (counts > 0).sum() for ids, counts in zip(told.ids, told.counts, strict=True)
    )


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_what_has_no_probability_is_never_drawn(scale):
    dense = logits(64, 600) * scale
    dense[:, ::2] = -np.inf
    told = draw_tokens(dense, 50, "s")
    assert (told.ids[told.there] % 2 == 1).all()


def test_the_only_token_left_is_drawn_every_time():
    dense = np.full((3, 513), -np.inf, dtype=np.float32)
    dense[[0, 1, 2], [0, 300, 512]] = [-1e4, 0.0, 1e4]
    told = draw_tokens(dense, 50, "s")
    assert told.ids.tolist() == [[0], [300], [512]]
    assert told.counts.tolist() == [[50]] * 3


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(UsageError, match="not numbers"):
        draw_tokens(np.array([[0.0, wrong]]), 5, "s")


def test_draws_and_temperature_are_above_zero():
    for draws, temperature in ((0, 1.0), (5, 0.0)):
        with pytest.raises(UsageError, match="above 0"):
            draw_tokens(np.zeros((1, 3)), draws, "s", temperature=temperature)
