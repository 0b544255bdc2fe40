"""How near a text is to those that are there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.evaluation.graders.text_metrics import rouge_l
from stillhouse.generation.novelty import ByWords

SOME = ["the", "a", "cat", "dog", "runs", "fast", "slowly", "today"]
WORDS = st.lists(st.sampled_from(SOME), min_size=1, max_size=8).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=6), WORDS)
def test_the_nearest_by_words_has_the_highest_rouge_l(pool, text):
    found = ByWords(pool).nearest(text)
    assert found.likeness == pytest.approx(max(rouge_l(text, each) for each in pool))
    assert rouge_l(text, found.text) == pytest.approx(found.likeness)


def test_case_and_marks_do_not_make_a_text_new():
    assert ByWords(["Where is my parcel?"]).nearest("where is MY parcel").likeness == 1.0


def test_scripts_without_spaces_are_compared_by_letter():
    assert 0.5 < ByWords(["今日は天気がいい"]).nearest("今日は天気が悪い").likeness < 1.0


def test_texts_without_words_are_alike_when_equal():
    pool = ByWords(["?!", "what"])
    assert pool.nearest("?!").likeness == 1.0
    assert pool.nearest("...").likeness == 0.0


def test_an_empty_pool_has_nothing_near():
    assert ByWords().nearest("anything") is None
