"""Dawid-Skene: the paper's own example, a plain double, and what must hold for any answers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import DataError
from stillhouse.generation.ballots import collect
from stillhouse.generation.dawid_skene import Options, estimate, posterior
from stillhouse.generation.vote import decide, majority

PAPER = """
1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212 1211111
1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121
1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222
"""
"""Table 1 of the paper: of each patient what the first observer said three times, and the other four once."""


def patients():
    return [{"1": list(row[:3]), **{str(at): row[at + 1] for at in range(2, 6)}} for row in PAPER.split()]


def test_the_frequencies_are_those_of_the_paper():
    found = estimate(collect(patients()))
    assert found.converged
    assert found.prior == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=0.005)


def test_the_labels_are_sure_but_for_few_patients():
    ballots = collect(patients())
    found = estimate(ballots)
    assert (found.shares.max(axis=1) > 0.9).sum() >= 42
    assert decide(ballots.labels, found.shares).best[10] == 3


def plain_em(ballots, rounds):
    """The equations of the paper with loops."""
    items, people, labels = ballots.items, len(ballots.annotators), len(ballots.labels)
    n = np.zeros((items, people, labels))
    for i, k, label in zip(ballots.item, ballots.annotator, ballots.label, strict=True):
        n[i, k, label] += 1
    t = n.sum(1) / n.sum((1, 2))[:, None]
    for _ in range(rounds):
        p, pi = t.mean(0), np.zeros((people, labels, labels))
        for k in range(people):
            for j in range(labels):
                row = (t[:, j, None] * n[:, k]).sum(0)
                pi[k, j] = row / row.sum() if row.sum() else 1 / labels
        for i in range(items):
            likely = [
                p[j] * math.prod(pi[k, j, x] ** n[i, k, x] for k in range(people) for x in range(labels))
                for j in range(labels)
            ]
            t[i] = np.array(likely) / sum(likely)
    return t, p, pi


def test_it_does_what_the_equations_say():
    ballots = collect(patients())
    shares, prior, confusion = plain_em(ballots, 12)
    found = estimate(ballots, Options(rounds=12, tolerance=-1.0))
    assert found.rounds == 12
    np.testing.assert_allclose(found.shares, shares, atol=1e-9)
    np.testing.assert_allclose(found.prior, prior, atol=1e-9)
    np.testing.assert_allclose(found.confusion, confusion, atol=1e-9)


def crowd(seed, items, reliability, labels=3, answered=1.0):
    """Items of known label, and annotators of known reliability."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(labels, size=items)
    said = []
    for label in truth.tolist():
        row = {}
        for name, sure in reliability.items():
            if chance.random() < answered:
                wrong = (label + int(chance.integers(1, labels))) % labels
                row[name] = str(label if chance.random() < sure else wrong)
        said.append(row)
    return collect(said, [str(label) for label in range(labels)]), truth


def test_it_beats_the_majority_when_some_are_better():
    reliability = {"good": 0.95, "fair": 0.7, "poor": 0.4, "poorer": 0.38, "worst": 0.36}
    ballots, truth = crowd(0, 600, reliability, answered=0.8)
    found = estimate(ballots, Options(smoothing=0.1))
    voted = (decide(ballots.labels, majority(ballots)).best == truth).mean()
    weighed = (decide(ballots.labels, found.shares).best == truth).mean()
    assert weighed > voted + 0.1
    measured = dict(zip(ballots.annotators, found.accuracy(), strict=True))
    assert all(abs(measured[name] - sure) < 0.1 for name, sure in reliability.items())


def test_one_coin_bears_many_labels():
    ballots, truth = crowd(1, 300, {"a": 0.9, "b": 0.6, "c": 0.6}, labels=40)
    whole = (decide(ballots.labels, estimate(ballots).shares).best == truth).mean()
    coin = estimate(ballots, Options(one_coin=True))
    assert (decide(ballots.labels, coin.shares).best == truth).mean() >= whole
    assert coin.accuracy() == pytest.approx([0.9, 0.6, 0.6], abs=0.1)


def test_reliabilities_label_new_items():
    known, _ = crowd(2, 500, {"a": 0.95, "b": 0.5, "c": 0.5})
    learnt = estimate(known, Options(smoothing=0.1))
    new = collect([{"a": "0", "b": "1", "c": "1"}, {}], known.labels)
    shares, _ = posterior(new, learnt.prior, learnt.confusion)
    assert shares[0].argmax() == 0
    assert shares[1].sum() == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz")), min_size=1, max_size=20),
    st.sampled_from([0.0, 0.5]),
    st.booleans(),
)
def test_whatever_is_said_probabilities_come_out(said, smoothing, one_coin):
    ballots = collect(said, ["x", "y", "z"])
    if not ballots.answered().any():
        with pytest.raises(DataError, match="Nobody answered anything"):
            estimate(ballots)
        return
    found = estimate(ballots, Options(smoothing=smoothing, one_coin=one_coin))
    assert found.confusion.sum(axis=2) == pytest.approx(np.ones_like(found.confusion[:, :, 0]))
    assert found.prior.sum() == pytest.approx(1)
    heard = ballots.answered() > 0
    assert found.shares[heard].sum(axis=1) == pytest.approx(np.ones(heard.sum()))
    assert not found.shares[~heard].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_the_likelihood_never_falls(seed):
    ballots, _ = crowd(seed, 40, {"a": 0.8, "b": 0.6, "c": 0.5}, answered=0.7)
    found = [estimate(ballots, Options(rounds=rounds, tolerance=-1.0)).likelihood for rounds in range(1, 8)]
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(found))
