"""What several annotators said, as arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import DataError
from stillhouse.generation.ballots import collect

SAID = [{"a": "yes", "b": ["no", "no"], "c": None}, {"b": "yes"}, {}]


def test_answers_are_counted_by_item_and_label():
    ballots = collect(SAID)
    assert ballots.annotators == ("a", "b", "c")
    assert ballots.labels == ("no", "yes")
    assert ballots.counts().tolist() == [[2, 1], [0, 1], [0, 0]]
    assert ballots.answered().tolist() == [3, 1, 0]


def test_weights_count_for_whoever_has_them():
    assert collect(SAID).weigh(np.array([5.0, 1.0, 9.0])).tolist() == [[2, 5], [0, 1], [0, 0]]


def test_agreement_is_the_share_of_pairs_that_agree():
    found = collect(SAID).agreement()
    assert found[0] == pytest.approx(1 / 3)
    assert np.isnan(found[1:]).all()


def test_labels_may_be_given_in_an_order():
    assert collect(SAID, ["yes", "no", "perhaps"]).counts()[0].tolist() == [1, 2, 0]


def test_a_label_that_is_none_is_named():
    with pytest.raises(DataError, match="'no' was answered, and is none of the 1 labels: yes"):
        collect(SAID, ["yes"])


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "y", "z", None]), max_size=3)))
def test_every_answer_is_counted_once(said):
    ballots = collect(said)
    given_answers = sum(answer is not None for row in said for answer in row.values())
    assert ballots.counts().sum() == given_answers == len(ballots.item)
    assert all(math.isnan(one) or 0 <= one <= 1 for one in ballots.agreement())
