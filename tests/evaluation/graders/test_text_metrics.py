"""The metrics against sacrebleu 2.6.0, nltk 3.10.4 and rouge-score 0.1.2, whose values were taken once; and by hand.

METEOR of nltk was taken with 13a tokens and an empty WordNet; where words come twice it may find more chunks than
there must be, and then the value here is by hand.
"""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.evaluation.graders.text_metrics import (
    METRICS,
    bleu,
    fuzzy_match,
    gleu,
    meteor,
    rouge_l,
    rouge_n,
    tokens,
)

CAT = ("the cat sat on the mat", "the cat is on the mat")
PARTY = (
    "It is a guide to action which ensures that the military always obeys the commands of the party.",
    "It is a guide to action that ensures that the military will forever heed Party commands.",
)
COSTS = ("Hello, World! It costs $3.50 (about 3-4 euros).", "Hello world; it costs 3.50 dollars, about 3 - 4 euros.")
DOGS = ("running quickly he jumped over lazy dogs", "he runs quick and jumps over the lazy dog")
THES = ("the the the the the the the", "the cat is on the mat")
POLICE = (
    "The police aren't here yet & won't be before 10,000 people arrive - or 12.5%.",
    "Police are not here and will not be, before 10,000 people (12.5%) arrive.",
)
PARIS = ("Paris", "The capital of France is Paris.")

REFERENCE = [
    (CAT, {"bleu": 0.379918, "gleu": 0.5, "rouge_1": 5 / 6, "rouge_2": 0.6, "rouge_3": 0.25, "rouge_4": 0,
           "rouge_5": 0, "rouge_l": 5 / 6, "meteor": 0.806667, "fuzzy_match": 0.930233}),
    (PARTY, {"bleu": 0.396709, "gleu": 0.428571, "rouge_1": 0.705882, "rouge_2": 0.5, "rouge_3": 0.4,
             "rouge_4": 0.285714, "rouge_5": 0.153846, "rouge_l": 0.647059}),
    (COSTS, {"bleu": 0.272259, "gleu": 0.327586, "rouge_1": 0.952381, "rouge_2": 0.842105, "rouge_3": 0.705882,
             "rouge_4": 0.533333, "rouge_5": 0.307692, "rouge_l": 0.952381, "meteor": 0.761199}),
    (DOGS, {"bleu": 0.06495, "gleu": 0.1, "rouge_1": 0.375, "rouge_2": 0, "rouge_l": 0.375, "meteor": 0.580808}),
    (THES, {"bleu": 0.078098, "gleu": 0.090909, "rouge_1": 0.307692, "rouge_l": 0.307692, "meteor": 0.163934}),
    (POLICE, {"bleu": 0.116907, "gleu": 0.19697, "rouge_1": 0.625, "rouge_2": 0.333333, "rouge_3": 0.214286,
              "rouge_4": 0.153846, "rouge_5": 0.083333, "rouge_l": 0.5625, "meteor": 0.462849}),
    (PARIS, {"bleu": 0.002479, "gleu": 0.045455, "rouge_1": 0.285714, "rouge_l": 0.285714, "meteor": 0.078125}),
    (("a", "a"), {"bleu": 1, "gleu": 1, "rouge_1": 1, "rouge_2": 0, "rouge_l": 1, "meteor": 0.5, "fuzzy_match": 1}),
    (("completely different", "nothing shared here"), dict.fromkeys(sorted(METRICS.keys() - {"fuzzy_match"}), 0)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "metric", "value"), [(pair, metric, value) for pair, row in REFERENCE for metric, value in row.items()]
)
def test_the_values_are_those_of_the_reference(pair, metric, value):
    assert METRICS[metric](*pair) == pytest.approx(value, abs=1e-6)


def test_bleu_by_hand():
    """5 of 6 words, 3 of 5 pairs, 1 of 4 triples, none of 3 quadruples, which is smoothed to 1 of 2 * 3."""
    assert bleu(*CAT) == pytest.approx((5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25)
    assert bleu("on the mat", "the cat is on the mat") == pytest.approx(2.718281828459045**-1.0)


def test_gleu_by_hand():
    """9 of the 18 n-grams of either text."""
    assert gleu(*CAT) == 9 / 18


def test_rouge_by_hand():
    assert rouge_l("police killed the gunman", "police kill the gunman") == 0.75  # the example of the paper
    assert rouge_l("the gunman kill police", "police kill the gunman") == 0.5
    assert rouge_n(2, "a b c", "a b d e") == pytest.approx(2 / 5)


def test_meteor_by_hand():
    """In the example all words but one match: 5 of 6 in 2 runs."""
    assert meteor(*CAT) == pytest.approx(5 / 6 * (1 - 0.5 * (2 / 5) ** 3))
    assert meteor("b c a", "a b c") == pytest.approx(1 - 0.5 * (2 / 3) ** 3)
    assert meteor("jumps", "jumped") == 0.5


def test_meteor_finds_the_longer_run_among_equal_words():
    """13 of 19 and of 17 tokens, in 5 runs: `it ... action`, `ensures ... military`, `commands`, `party`, `.`.

    nltk pairs the first `the` with another one and so finds more runs: 0.696814.
    """
    precision, recall = 13 / 19, 13 / 17
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    assert meteor(*PARTY) == pytest.approx(mean * (1 - 0.5 * (5 / 13) ** 3))


def test_weighted_ratio_ignores_case_and_punctuation():
    assert fuzzy_match("Hello WORLD!", "hello,world") == 1.0
    assert fuzzy_match("", "") == 0.0


def test_tokens_are_cut_as_the_standard_script_does():
    assert tokens('It\'s 3.5% of $1,000.00 (x-y) &amp; 3-4. "End"') == [
        *("It's", "3.5", "%", "of", "$", "1,000.00", "(", "x-y", ")", "&", "3", "-", "4", ".", '"', "End", '"'),
    ]


def test_other_scripts_have_words_too():
    assert rouge_n(1, "Москва столица", "москва город") == 0.5
    assert rouge_l("größe", "GRÖSSE groß größe") == 0.5


@given(st.text(), st.text())
@settings(max_examples=200)
def test_every_metric_is_between_0_and_1_and_never_fails(text, reference):
    assert all(0.0 <= metric(text, reference) <= 1.0 for metric in METRICS.values())


words = st.lists(st.sampled_from("abcde"), min_size=1, max_size=8).map(" ".join)


@given(words)
def test_a_text_is_wholly_like_itself(text):
    size = len(text.split())
    alike = {name: metric(text, text) for name, metric in METRICS.items()}
    assert alike.pop("meteor") == pytest.approx(1 - 0.5 / size**3)
    alike.pop("fuzzy_match")  # texts of one letter between blanks are short for it
    for grams in range(1, 6):
        assert alike.pop(f"rouge_{grams}") == (1.0 if size >= grams else 0.0)
    assert alike == pytest.approx(dict.fromkeys(alike, 1.0))


@given(words, words)
def test_symmetric_metrics_are_symmetric(text, reference):
    for name in ("gleu", "rouge_1", "rouge_2", "rouge_l"):
        assert METRICS[name](text, reference) == pytest.approx(METRICS[name](reference, text))


def fewest_chunks(found: list[str], wanted: list[str]) -> int:
    """By trying every alignment with the most matches."""
    most = sum(min(found.count(word), wanted.count(word)) for word in set(found))
    best = most
    for kept in combinations(range(len(found)), most):
        for places in permutations(range(len(wanted)), most):
            if all(found[i] == wanted[p] for i, p in zip(kept, places, strict=True)):
                pairs = dict(zip(kept, places, strict=True))
                best = min(best, sum(pairs.get(i - 1) != p - 1 for i, p in pairs.items()))
    return best


short = st.lists(st.sampled_from("abc"), min_size=1, max_size=5)


@given(short, short)
@settings(max_examples=60)
def test_meteor_matches_all_that_can_and_never_in_fewer_runs_than_possible(found, wanted):
    matches = sum(min(found.count(word), wanted.count(word)) for word in set(found))
    value = meteor(" ".join(found), " ".join(wanted))
    if not matches:
        assert value == 0.0
        return
    precision, recall = matches / len(found), matches / len(wanted)
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    best = mean * (1 - 0.5 * (fewest_chunks(found, wanted) / matches) ** 3)
    assert 0.5 * mean - 1e-12 <= value <= best + 1e-12
