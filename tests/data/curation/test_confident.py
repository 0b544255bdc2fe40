from __future__ import annotations

import numpy as np
import pytest

from stillhouse.data.curation.confident import Rule, likely_wrong, margins

CLEANLAB = {
    Rule.CONFIDENT: (
        20, 37, 119, 126, 134, 146, 148, 162, 163, 175, 177, 180, 204, 237, 254, 258, 276, 286, 290, 291, 293
    ),
    Rule.NOISE_RATE: (
        12, 20, 36, 37, 96, 110, 119, 126, 134, 146, 148, 162, 163, 165, 175, 177, 180, 204, 237, 254, 258, 286, 290,
        291, 293, 295
    ),
}  # fmt: skip
"""What cleanlab 2.9.0 suspects of the rows below: find_label_issues, filter_by confident_learning and
prune_by_noise_rate."""


@pytest.mark.parametrize("rule", Rule)
def test_the_suspects_are_those_of_the_method_s_authors(rule):
    random = np.random.default_rng(5)
    true = random.integers(0, 4, 300)
    shares = random.dirichlet(np.ones(4), 300) * 0.6
    shares[np.arange(300), true] += 0.4
    wrong = random.random(300) < 0.1
    labels = np.where(wrong, (true + random.integers(1, 4, 300)) % 4, true)
    shares /= shares.sum(axis=1, keepdims=True)
    assert np.flatnonzero(likely_wrong(shares, labels, rule)).tolist() == list(CLEANLAB[rule])


def planted(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of a good model, labels of which a tenth is wrong, and which these are."""
    random = np.random.default_rng(seed)
    true = random.integers(0, 4, rows)
    shares = random.dirichlet(np.ones(4), rows) * 0.4
    shares[np.arange(rows), true] += 0.6
    wrong = random.random(rows) < 0.1
    labels = np.where(wrong, (true + random.integers(1, 4, rows)) % 4, true)
    return shares / shares.sum(axis=1, keepdims=True), labels, wrong


@pytest.mark.parametrize("rule", Rule)
def test_planted_errors_are_found(rule):
    shares, labels, wrong = planted(2_000, 0)
    found = likely_wrong(shares, labels, rule)
    assert (found & wrong).sum() / found.sum() > 0.97
    assert (found & wrong).sum() / wrong.sum() > (0.9 if rule == Rule.NOISE_RATE else 0.5)


def test_a_worked_example():
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.7, 0.3], [0.3, 0.7]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # thresholds: (0.9 + 0.8 + 0.2) / 3 = 0.633 and (0.9 + 0.3 + 0.7) / 3 = 0.633: every row is confidently of one
    assert likely_wrong(shares, labels, Rule.CONFIDENT).tolist() == [False, False, True, False, True, False]
    assert likely_wrong(shares, labels, Rule.NOISE_RATE).tolist() == [False, False, True, False, True, False]
    assert margins(shares, labels) == pytest.approx([-0.8, -0.6, 0.6, -0.8, 0.4, -0.4])


def test_a_label_that_the_model_agrees_with_is_never_suspected():
    shares, labels, _ = planted(500, 1)
    for rule in Rule:
        assert not (likely_wrong(shares, labels, rule) & (shares.argmax(axis=1) == labels)).any()


def test_no_rows_and_labels_that_nobody_has():
    assert likely_wrong(np.zeros((0, 3)), np.zeros(0, np.int64), Rule.NOISE_RATE).tolist() == []
    assert likely_wrong(np.array([[0.6, 0.3, 0.1]] * 3), np.zeros(3, np.int64), Rule.NOISE_RATE).tolist() == [False] * 3
