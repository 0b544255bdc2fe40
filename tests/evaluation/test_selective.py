"""The threshold keeps its promise whatever the shape of the risk, and keeps a good share where it can."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.evaluation.answers import Answers, Terms
from stillhouse.evaluation.selective import certify_threshold, risk_coverage, verify_threshold

SHAPES = {
    "sure ones are right": lambda u: 0.002 + 0.4 * (1 - u) ** 6,
    "a bad patch in the middle": lambda u: 0.003 + 0.5 * (1 - u) ** 3 + 0.04 * np.exp(-(((u - 0.9) / 0.03) ** 2)),
    "the surest are wrong": lambda u: 0.003 + 0.5 * (1 - u) ** 3 + 0.04 * (u > 0.96),
    "confidence says nothing, just over": lambda u: np.full_like(u, 0.0201),
    "waves": lambda u: 0.022 - 0.012 * np.sin(12 * u),
    "just over at the top only": lambda u: np.where(u > 0.5, 0.0205, 0.0),
}


def draw(shape, rows: int, random: np.random.Generator, saturated: bool = False) -> Answers:
    u = random.random(rows)
    correct = random.random(rows) >= shape(u)
    return Answers(correct, (np.minimum(u, 0.7) if saturated else u).astype(np.float32))


def true_disagreement(shape, threshold: float) -> float:
    return float(shape(np.linspace(threshold, 1.0, 20_001)[:-1]).mean())


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("saturated", [False, True])
def test_the_promise_is_kept_as_often_as_promised(name, saturated):
    random, shape, trials = np.random.default_rng(0), SHAPES[name], 400
    broken = 0
    for _ in range(trials):
        selection, calibration = draw(shape, 500, random, saturated), draw(shape, 500, random, saturated)
        threshold = certify_threshold(selection, calibration, Terms()).threshold
        broken += threshold is not None and true_disagreement(shape, threshold) > 0.02
    # at most 5% of draws may break it; 400 trials of exactly 5% exceed 33 once in a thousand
    assert broken <= 33


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("selection", "calibration"), [(200, 1500), (1000, 400)])
def test_the_promise_is_kept_in_many_trials(name, selection, calibration):
    random, shape, trials = np.random.default_rng(1), SHAPES[name], 2000
    broken = 0
    for _ in range(trials):
        parts = draw(shape, selection, random), draw(shape, calibration, random)
        threshold = certify_threshold(*parts, Terms()).threshold
        broken += threshold is not None and true_disagreement(shape, threshold) > 0.02
    assert broken <= 131  # 2,000 trials of exactly 5% exceed it once in a thousand


def test_it_keeps_most_of_what_an_oracle_would():
    random, shape = np.random.default_rng(0), SHAPES["sure ones are right"]  # an oracle keeps 86%
    kept = [certify_threshold(draw(shape, 1000, random), draw(shape, 3000, random), Terms()) for _ in range(50)]
    assert np.mean([1.0 - (1.0 if promise.threshold is None else promise.threshold) for promise in kept]) > 0.74


def test_a_perfect_student_keeps_everything():
    part = Answers(np.ones(300, bool), np.linspace(0.3, 1.0, 300))
    promise = certify_threshold(part, part, Terms())
    assert (promise.threshold, promise.kept, promise.needed_rows) == (0.0, 300, None)


def test_equal_confidences_are_kept_or_left_together():
    confidence = np.repeat([1.0, 0.5], [300, 300])
    correct = np.repeat([True, False], [300, 300])
    promise = certify_threshold(Answers(correct, confidence), Answers(correct, confidence), Terms())
    assert (promise.threshold, promise.kept) == (0.75, 300)


def test_one_confidence_for_all_leaves_all_or_nothing():
    same = np.full(400, 0.9)
    good, poor = Answers(np.ones(400, bool), same), Answers(np.arange(400) % 10 > 0, same)
    assert certify_threshold(good, good, Terms()).threshold == 0.0
    assert certify_threshold(poor, poor, Terms()).threshold is None


def test_a_hopeless_student_is_told_so():
    wrong = Answers(np.zeros(500, bool), np.linspace(0, 1, 500))
    promise = certify_threshold(wrong, wrong, Terms())
    assert (promise.threshold, promise.kept, promise.needed_rows) == (None, 0, None)
    assert "too often wrong where it is sure" in promise.reason


@pytest.mark.parametrize("rows", [0, 1, 40, 148])
def test_too_few_rows_say_how_many_are_needed(rows):
    few = Answers(np.ones(rows, bool), np.full(rows, 0.9))
    promise = certify_threshold(few, few, Terms())
    fewest = math.ceil(math.log(0.05) / math.log(0.98))
    assert (promise.threshold, promise.needed_rows) == (None, fewest)
    assert f"at least {fewest} are needed" in promise.reason


def test_without_selection_rows_only_everything_can_be_kept():
    nothing = Answers(np.zeros(0, bool), np.zeros(0))
    good = Answers(np.ones(300, bool), np.linspace(0, 1, 300))
    assert certify_threshold(nothing, good, Terms()).threshold == 0.0


def test_a_near_miss_asks_for_more_rows():
    confidence = np.linspace(0, 1, 400)
    near = Answers(np.arange(400) % 80 > 0, confidence)  # 1.25% wrong everywhere
    promise = certify_threshold(near, near, Terms())
    assert promise.threshold is None
    assert promise.needed_rows is not None
    assert 400 < promise.needed_rows < 10_000
    assert f"{promise.needed_rows:,}" in promise.reason


def test_a_fixed_threshold_is_verified_by_one_test():
    confidence = np.linspace(0, 1, 1000)
    fresh = Answers(confidence > 0.4, confidence)
    assert verify_threshold(fresh, 0.5, Terms()).threshold == 0.5
    assert verify_threshold(fresh, 0.5, Terms()).kept == 500
    refused = verify_threshold(fresh, 0.3, Terms())
    assert refused.threshold is None
    assert "keeps 700 of 1,000 rows with 100 disagreements, which contradicts at most 2%" in refused.reason


@pytest.mark.parametrize(
    ("rows", "wrong", "told", "needed"),
    [
        (300, 1, "which still shows at most 2% with 95% confidence", None),
        (300, 3, "which does not show at most 2% with 95% confidence; about", 1567),
        (300, 7, "more rows like these are unlikely to", None),
        (300, 20, "contradicts", None),
        (100, 0, "so few cannot show at most 2% with 95% confidence, whatever the answers; 149 kept rows could", 149),
        (100, 9, "contradicts", None),
    ],
)
def test_what_a_fixed_threshold_would_need_is_said(rows, wrong, told, needed):
    promise = verify_threshold(Answers(np.arange(rows) >= wrong, np.full(rows, 0.9)), 0.5, Terms())
    assert told in promise.reason
    assert promise.needed_rows == needed
    assert (promise.threshold == 0.5) == ("still shows" in told)


def test_the_rows_needed_are_counted_before_the_threshold_leaves_some_out():
    half = Answers(np.ones(100, bool), np.where(np.arange(100) < 50, 0.9, 0.1))
    assert verify_threshold(half, 0.5, Terms()).needed_rows == 298
    nothing = verify_threshold(half, 1.01, Terms())
    assert (nothing.threshold, nothing.needed_rows) == (None, None)
    assert "keeps 0 of 100 rows" in nothing.reason


answers = st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])), max_size=60)


@settings(max_examples=200)
@given(answers)
def test_the_curve_is_what_each_threshold_keeps(rows):
    correct = np.array([right for right, _ in rows], dtype=bool)
    confidence = np.array([sure for _, sure in rows], dtype=np.float64)
    coverage, disagreement = risk_coverage(correct, confidence)
    levels = sorted(set(confidence.tolist()), reverse=True)
    assert coverage.tolist() == pytest.approx([np.mean(confidence >= level) for level in levels])
    assert disagreement.tolist() == pytest.approx([np.mean(~correct[confidence >= level]) for level in levels])


@settings(max_examples=100)
@given(answers, answers)
def test_any_answers_get_a_promise_that_their_rows_support(selection, calibration):
    parts = [
        Answers(np.array([right for right, _ in rows], bool), np.array([sure for _, sure in rows], np.float64))
        for rows in (selection, calibration)
    ]
    promise = certify_threshold(*parts, Terms(risk=0.3, confidence=0.8))
    assert (promise.threshold is None) == (promise.kept == 0)
    if promise.threshold is not None:
        assert verify_threshold(parts[1], promise.threshold, Terms(risk=0.3, confidence=0.8)).kept == promise.kept
        assert promise.needed_rows is None
