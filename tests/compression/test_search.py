"""Search: reaches its goals on a made-up model whose trials are off by known factors."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from stillhouse.compression.search import Goal, Prediction, Search, Seen, Survey
from stillhouse.errors import UsageError

WHOLE = {"embedding": 4_000_000, "matrices": 10_000_000}


def seen(embedding: float = 1.0, matrices: float = 1.0, damage: float = 0.0) -> Seen:
    return Seen({"embedding": int(4_000_000 * embedding), "matrices": int(10_000_000 * matrices)}, damage)


SURVEY = Survey(
    whole=seen(),
    levers={
        "layers": {"6": seen(), "3": seen(matrices=0.5, damage=0.8), "1": seen(matrices=0.2, damage=2.0)},
        "ffn": {"1": seen(), "0.5": seen(matrices=0.7, damage=0.2)},
        "vocabulary": {"all": seen(), "seen": seen(embedding=0.1, damage=0.01)},
        "precision": {"float32": seen(), "int8": seen(damage=0.005), "int4": seen(damage=0.1)},
    },
    bits={
        "float32": {"embedding": 32, "matrices": 32},
        "int8": {"embedding": 8, "matrices": 8},
        "int4": {"embedding": 4.5, "matrices": 4.5},
    },
    ms={"float32": 10.0, "int8": 3.0, "int4": 6.0},
    overhead=100_000,
)


def run(goal: Goal, trials: int, healed: float = 0.02, larger: float = 1.0) -> Search:
    """Trials that lose `healed` of the quality for each nat of damage, in files `larger` than predicted."""
    search = Search(SURVEY, goal)
    for _ in range(trials):
        chosen = search.propose()
        if chosen is None:
            break
        raw = Search(SURVEY, goal).predict(chosen)
        search.tell(chosen, Prediction(raw.bytes * larger, raw.ms, raw.drop / 0.5 * healed))
    return search


def test_the_bytes_of_a_whole_model_are_those_of_its_numbers():
    found = Search(SURVEY, Goal(bytes=1)).predict(
        {"layers": "6", "ffn": "1", "vocabulary": "all", "precision": "float32"}
    )
    assert (found.bytes, found.ms, found.drop) == (14_000_000 * 4 + 100_000, 10.0, 0.0)


def test_levers_multiply():
    found = Search(SURVEY, Goal(bytes=1)).predict(
        {"layers": "3", "ffn": "0.5", "vocabulary": "seen", "precision": "int8"}
    )
    assert found.bytes == pytest.approx(400_000 + 3_500_000 + 100_000)
    assert found.ms == pytest.approx(3.0 * 0.35)
    assert found.drop == pytest.approx(0.5 * (0.8 + 0.2 + 0.01 + 0.005))


def test_a_size_is_reached_at_the_least_damage():
    search = run(Goal(bytes=12e6), trials=1)
    assert search.best is not None
    assert search.best.combination == {"layers": "6", "ffn": "1", "vocabulary": "seen", "precision": "int8"}


def test_every_kind_of_combination_that_reaches_a_size_is_tried_once():
    search = run(Goal(bytes=12e6), trials=20)
    kinds = [frozenset(search._pulled(one.combination)) for one in search.tried]
    assert len(kinds) == len(set(kinds)) > 3
    assert search.propose() is None


def test_files_larger_than_predicted_teach_the_search():
    search = run(Goal(bytes=11e6), trials=4, larger=1.3)
    assert search.best is not None
    assert search.best.found.bytes <= 11e6
    assert search.tried[0].found.bytes > 11e6


@pytest.mark.parametrize("healed", [0.001, 0.02, 0.5])
def test_quality_alone_gives_the_smallest_that_keeps_it(healed):
    search = run(Goal(drop=0.01), trials=12, healed=healed)
    every = [dict(zip(SURVEY.levers, one, strict=True)) for one in product(*SURVEY.levers.values())]
    raw = [(Search(SURVEY, Goal(drop=0.01)).predict(one), one) for one in every]
    smallest = min((found.bytes for found, _ in raw if found.drop / 0.5 * healed <= 0.01))
    assert search.best is not None
    assert search.best.found.drop <= 0.01
    assert search.best.found.bytes <= 1.25 * smallest


def test_beyond_a_cliff_what_lies_before_it_is_tried():
    search = Search(SURVEY, Goal(drop=0.01))
    while (chosen := search.propose()) is not None:
        raw = Search(SURVEY, Goal(drop=0.01)).predict(chosen)
        search.tell(chosen, Prediction(raw.bytes, raw.ms, 0.4 if chosen["layers"] == "1" else 0.0))
    assert search.best is not None
    assert search.best.combination == {"layers": "3", "ffn": "0.5", "vocabulary": "seen", "precision": "int4"}
    assert len(search.tried) == 8  # of 36


def test_what_cannot_be_reached_gives_the_nearest():
    search = run(Goal(bytes=1_000), trials=3)
    assert search.best is None
    assert search.nearest is not None
    assert search.smallest.bytes == pytest.approx(search.nearest.found.bytes, rel=0.01)


def test_a_speed_is_reached():
    search = run(Goal(ms=2.0), trials=3)
    assert search.best is not None
    assert search.best.found.ms <= 2.0


def test_the_front_has_no_beaten_trials():
    front = run(Goal(bytes=12e6), trials=20).front
    assert [one.found.bytes for one in front] == sorted(one.found.bytes for one in front)
    assert [one.found.drop for one in front] == sorted((one.found.drop for one in front), reverse=True)


@pytest.mark.parametrize(
    ("goal", "words"),
    [({}, "needs a goal"), ({"bytes": 0}, "--target-mb"), ({"ms": -1}, "--target-ms"), ({"drop": 1.5}, "--max-drop")],
)
def test_goals_that_make_no_sense(goal, words):
    with pytest.raises(UsageError, match=words):
        Goal(**goal)


def test_no_more_than_everything_is_foreseen_to_be_lost():
    assert Prediction(12_345_678, 1.5, 2.164).words == "12.35 MB, 1.50 ms, 100.00% lost"
    assert Prediction(1e6, 1.5, -0.0123).words == "1.00 MB, 1.50 ms, -1.23% lost"


def test_of_two_broken_shapes_the_larger_is_tried():
    width = {"1": seen(), "0.5": seen(0.5, 0.5, damage=5.7), "0.25": seen(0.25, 0.25, damage=3.9)}
    survey = replace(SURVEY, levers={"width": width, "precision": SURVEY.levers["precision"]})
    assert Search(survey, Goal(bytes=7.5e6)).propose() == {"width": "0.5", "precision": "int8"}
