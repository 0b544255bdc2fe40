"""Versions side by side, and what comes of their vote."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import Inquiry
from stillhouse.generation.panel import How, kind_of, line_up, settle, tie_questions, voted
from tests.generation.rules import Words


def text(words, label=None, truth=None, **facts):
    return Item(Kind.TEXT, ({"role": "user", "content": words},), label=label, truth=truth, facts=Facts(**facts))


def versions(**labels):
    """A version for each annotator, of the texts 0, 1, 2, ..."""
    return {name: [text(f"text {at}", label) for at, label in enumerate(row)] for name, row in labels.items()}


def test_items_are_matched_by_what_they_ask():
    seats = line_up(
        {"one": [text("a", "x"), text("b", "y")], "other": [text("b", "x"), text("a", None), text("a", "y")]}
    )
    assert [seat.item.text for seat in seats] == ["a", "b"]
    assert seats[0].said == {"one": ("x",), "other": ("y",)}
    assert seats[1].said == {"one": ("y",), "other": ("x",)}
    assert len(seats[0].parents) == 3


def test_a_teacher_that_is_named_beside_several_others_counts_once():
    made = {name: [replace(text("a", "x"), source=Source(teacher=f"{name}+big"))] for name in ("one", "two")}
    assert line_up(made)[0].teachers == ("big", "one", "two")


def test_the_vote_becomes_label_and_soft_labels():
    seats = line_up(versions(a=["x", "x"], b=["x", "y"], c=["y", None]))
    told = [
        replace(item, facts=Facts(model=name)) for name, item in zip("ba", versions(a=["x", "x"])["a"], strict=True)
    ]
    assert line_up({"one": told[:1], "other": [replace(told[1], messages=told[0].messages)]})[0].teachers == ("a", "b")
    settled = settle(seats, How.MAJORITY)
    first, second = (voted(seat, settled, at) for at, seat in enumerate(seats))
    assert (first.label, second.label) == ("x", None)
    assert first.soft == {"x": pytest.approx(2 / 3), "y": pytest.approx(1 / 3)}
    assert second.facts.tags == ("tied",)
    assert first.facts.metadata == {"annotators": "3", "agreement": "0.3333"}
    assert first.source.teacher is None
    assert len(first.source.parents) == 3
    assert (first.source.origin, first.source.row) == (seats[0].item.source.origin, seats[0].item.source.row)


def test_too_small_a_share_gives_no_label():
    seats = line_up(versions(a=["x"], b=["x"], c=["y"]))
    assert voted(seats[0], settle(seats, How.MAJORITY), 0, least=0.7).label is None


def test_who_is_right_where_it_is_known_counts_more():
    rows = versions(good=["x"] * 20 + ["x"], bad=["y"] * 20 + ["y"], worse=["y"] * 20 + ["y"])
    rows["good"] = [replace(item, truth="x" if at < 20 else None) for at, item in enumerate(rows["good"])]
    seats = line_up(rows)
    settled = settle(seats, How.WEIGHTED)
    assert voted(seats[20], settled, 20).label == "x"
    assert settled.reliability["good"] > 0.9 > 0.1 > settled.reliability["bad"]


@pytest.mark.parametrize("how", [How.DAWID_SKENE, How.ONE_COIN])
def test_reliability_is_found_without_the_truth(how):
    right = ["x", "y"] * 20
    wrong = ["y" if at % 3 == 0 else each for at, each in enumerate(right)]
    other = ["x" if at % 4 == 0 else each for at, each in enumerate(right)]
    settled = settle(line_up(versions(a=right, b=right, c=wrong, d=other)), how)
    assert settled.reliability["a"] > settled.reliability["c"]


def test_a_judge_is_asked_about_ties_alone():
    seats = line_up(versions(a=["x", "x"], b=["x", "y"]))
    asked = tie_questions(Inquiry("judge", Words("{text}|{labels}")), seats, settle(seats, How.MAJORITY))
    assert list(asked) == [1]
    assert b"text 1|x\\ny" in asked[1].body


@pytest.mark.parametrize("how", list(How))
def test_a_vote_needs_two(how):
    with pytest.raises(UsageError, match="at least two annotators"):
        settle(line_up(versions(a=["x"])), how)


def test_weights_need_a_truth():
    with pytest.raises(UsageError, match="No item's truth is known"):
        settle(line_up(versions(a=["x"], b=["y"])), How.WEIGHTED)


def test_kinds_are_fields_of_an_item():
    item = text("a", "x", language="de", metadata={"shop": "north"})
    assert [kind_of(item, name) for name in ("label", "language", "metadata.shop", "model")] == ["x", "de", "north", ""]
    with pytest.raises(UsageError, match="not by 'colour'"):
        kind_of(item, "colour")
    assert math.isnan(settle(line_up(versions(a=["x"], b=[None], c=["x"])), How.MAJORITY).agreement[0]) is False


@pytest.mark.parametrize(("how", "enough"), [(How.DAWID_SKENE, 20), (How.ONE_COIN, 30), (How.MAJORITY, 1)])
def test_reliability_from_few_answers_is_doubted(how, enough):
    words = ["x", "y"] * enough
    alone = [None] * 50 + ["x"] * 50  # nobody else answered these, so they tell nothing of anybody

    def doubt(answers):
        return settle(line_up(versions(a=words[:answers] + alone, b=words[:answers])), how).doubt

    assert doubt(enough) is None
    if how is not How.MAJORITY:
        assert f"{enough - 2} answers" in doubt(enough - 2)
