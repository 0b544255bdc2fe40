"""Votes, plain and weighted, and their ties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.generation.ballots import collect
from stillhouse.generation.vote import accuracies, decide, majority, weighted

ANSWERS = st.lists(
    st.fixed_dictionaries({}, optional={name: st.sampled_from("xyz") for name in "abcd"}), min_size=1, max_size=8
)


def test_the_majority_wins_and_disagreement_is_kept():
    ballots = collect([{"a": "x", "b": "x", "c": "y"}, {"a": "x", "b": "y"}, {}])
    found = decide(ballots.labels, majority(ballots))
    assert [found.label(at) for at in range(3)] == ["x", None, None]
    assert found.tied.tolist() == [1, 2, 0]
    assert found.soft(0) == {"x": pytest.approx(2 / 3), "y": pytest.approx(1 / 3)}
    assert found.soft(2) == {}


def test_a_judge_breaks_ties_and_may_abstain():
    ballots = collect([{"a": "x", "b": "y"}, {"a": "y", "b": "z"}, {"a": "x", "b": "x"}])
    asked: list[tuple[int, list[str]]] = []

    def judge(item, choices):
        asked.append((item, list(choices)))
        return "y" if item == 0 else None

    found = decide(ballots.labels, majority(ballots), judge)
    assert asked == [(0, ["x", "y"]), (1, ["y", "z"])]
    assert [found.label(at) for at in range(3)] == ["y", None, "x"]
    assert found.judged.tolist() == [True, False, False]


def test_a_judge_cannot_name_what_is_not_tied():
    ballots = collect([{"a": "x", "b": "y"}, {"a": "z"}])
    assert decide(ballots.labels, majority(ballots), lambda *_: "z").label(0) is None


def test_one_good_annotator_outweighs_two_bad_ones():
    ballots = collect([{"a": "x", "b": "y", "c": "y"}])
    assert decide(ballots.labels, weighted(ballots, [0.95, 0.6, 0.6])).label(0) == "x"
    assert decide(ballots.labels, weighted(ballots, [0.7, 0.7, 0.7])).label(0) == "y"


@given(ANSWERS, st.lists(st.floats(0.05, 0.95), min_size=4, max_size=4))
def test_weighted_shares_are_the_posterior_of_independent_annotators(said, reliability):
    ballots = collect(said, ["x", "y", "z"])
    found = weighted(ballots, reliability[: len(ballots.annotators)])
    sure = dict(zip(ballots.annotators, reliability, strict=False))
    for row, answers in zip(found, said, strict=True):
        likely = [
            np.prod([sure[name] if answer == label else (1 - sure[name]) / 2 for name, answer in answers.items()])
            for label in "xyz"
        ]
        expected = np.array(likely) / sum(likely) if answers else np.zeros(3)
        assert row == pytest.approx(expected, abs=1e-9)


@given(ANSWERS)
def test_equal_reliability_decides_as_the_majority_does(said):
    ballots = collect(said, ["x", "y", "z"])
    same = weighted(ballots, [0.8] * len(ballots.annotators))
    assert decide(ballots.labels, same).best.tolist() == decide(ballots.labels, majority(ballots)).best.tolist()


def test_accuracy_is_measured_where_the_truth_is_known():
    ballots = collect([{"a": "x", "b": "y"}, {"a": "y", "b": "y"}, {"a": "x"}], ["x", "y"])
    assert accuracies(ballots, ["x", "y", None]).tolist() == [3 / 4, 2 / 4]


def test_a_truth_that_nobody_names_counts_against_all():
    ballots = collect([{"a": "x"}])
    assert accuracies(ballots, ["elsewhere"]).tolist() == [1 / 3]


@given(ANSWERS)
def test_the_order_of_annotators_does_not_matter(said):
    for order in itertools.islice(itertools.permutations("abcd"), 3):
        renamed = [{order["abcd".index(name)]: answer for name, answer in row.items()} for row in said]
        assert majority(collect(renamed, ["x", "y", "z"])).tolist() == majority(collect(said, ["x", "y", "z"])).tolist()
