"""Who is best at what, and who is asked about it."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.errors import UsageError
from stillhouse.generation.ballots import collect
from stillhouse.generation.strengths import route, strengths
from stillhouse.generation.vote import majority

PRICES = {"dear": 10.0, "cheap": 1.0, "free": 0.0}


def measured():
    """`dear` is always right, `cheap` on letters, `free` never on letters."""
    said, truth, kinds = [], [], []
    for number in range(40):
        label = "ab"[number % 2]
        kind = "letters" if number < 20 else "numbers"
        wrong = "ba"[number % 2]
        said.append(
            {
                "dear": label,
                "cheap": label if kind == "letters" else wrong,
                "free": wrong if kind == "letters" else label,
            }
        )
        truth.append(label)
        kinds.append(kind)
    ballots = collect(said, ["a", "b"])
    shares = np.array([[label == "a", label == "b"] for label in truth], np.float64)
    return strengths(ballots, shares, kinds)


def test_strengths_say_who_is_right_where():
    found = {(one.kind, one.teacher): (one.asked, one.right) for one in measured()}
    assert found[("letters", "cheap")] == (20, 20)
    assert found[("numbers", "cheap")] == (20, 0)
    assert found[("letters", "dear")] == (20, 20)


def test_the_cheapest_that_is_good_enough_is_asked():
    routes = route(measured(), PRICES, margin=0.1)
    assert routes.by_kind == {"letters": "cheap", "numbers": "free"}
    assert routes.teacher("pictures") == "dear"


def test_without_margin_the_best_is_asked():
    routes = route(measured(), PRICES)
    assert set(routes.by_kind.values()) == {"dear"}


def test_few_items_do_not_make_a_teacher_good():
    said = [{"known": "a", "new": "b"}] * 30 + [{"known": "b", "new": "a"}]
    ballots = collect(said, ["a", "b"])
    shares = np.array([[1.0, 0.0]] * 31)
    found = {(one.kind, one.teacher): one.accuracy for one in strengths(ballots, shares, ["x"] * 30 + ["rare"])}
    assert found[("rare", "new")] < found[("rare", "known")]


def test_a_price_is_needed():
    with pytest.raises(UsageError, match="What does 'free' cost"):
        route(measured(), {"dear": 1.0, "cheap": 1.0})
    with pytest.raises(UsageError, match="Nobody was measured"):
        route([], {})


def test_the_votes_may_stand_for_the_truth():
    ballots = collect([{"a": "x", "b": "x", "c": "y"}] * 9)
    found = {one.teacher: one.right for one in strengths(ballots, majority(ballots), ["k"] * 9)}
    assert found["a"] == pytest.approx(6)
    assert found["c"] == pytest.approx(3)
