"""Passages found by words and by vectors."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.generation.passages import PassagesByVectors, PassagesByWords, cut

SOME = ["card", "lost", "refund", "parcel", "late", "fee", "the"]
TEXT = st.lists(st.sampled_from(SOME), max_size=7).map(" ".join)

HANDBOOK = ["A refund takes five days.", "A lost card is blocked at once.", "Parcels that are late cost no fee."]


def bm25(texts, query):
    """The formula with loops, without the constant k1 + 1."""
    docs = [text.split() for text in texts]
    mean = sum(map(len, docs)) / len(docs)
    scores = []
    for doc in docs:
        score = 0.0
        for word in query.split():
            having = sum(word in other for other in docs)
            often = doc.count(word)
            if having:
                rare = math.log(1 + (len(docs) - having + 0.5) / (having + 0.5))
                score += rare * often / (often + 1.5 * (1 - 0.75 + 0.75 * len(doc) / mean))
        scores.append(score)
    return scores


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=6), TEXT, st.integers(1, 4))
def test_scores_are_those_of_the_formula(texts, query, count):
    if not any(text.split() for text in texts):
        with pytest.raises(UsageError, match="nothing to search"):
            PassagesByWords(texts)
        return
    expected = bm25(texts, query)
    found = PassagesByWords(texts).find(query, count)
    assert len(found) == min(count, sum(score > 0 for score in expected))
    for one in found:
        assert one.score == pytest.approx(expected[one.at], rel=1e-4)
        assert texts[one.at] == one.text
    missed = [score for at, score in enumerate(expected) if at not in {one.at for one in found}]
    assert all(one.score >= score * (1 - 1e-4) for one in found for score in missed)


def test_what_is_asked_finds_what_answers_it():
    assert PassagesByWords(HANDBOOK).find("I LOST my card!", 1)[0].text == HANDBOOK[1]


def test_what_fits_nothing_finds_nothing():
    assert PassagesByWords(HANDBOOK).find("zebra", 3) == []
    assert PassagesByWords(HANDBOOK).find("", 3) == []


def test_searching_brings_no_torch_and_says_nothing():
    code = (
        "import sys; from stillhouse.generation.passages import PassagesByWords;"
        "PassagesByWords(['a b']).find('a', 1); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_vectors_find_by_direction():
    table = {"up": [0.0, 1.0], "right": [1.0, 0.0], "down": [0.0, -1.0], "rather up": [0.1, 0.9]}
    found = PassagesByVectors(lambda texts: np.array([table[text] for text in texts]), ["up", "right", "down"])
    assert [one.text for one in found.find("rather up", 3)] == ["up", "right"]


@given(st.text(alphabet="ab \n", max_size=60), st.integers(1, 6), st.data())
def test_passages_hold_every_word_and_no_more_than_they_may(text, words, data):
    shared = data.draw(st.integers(0, words - 1))
    found = cut(text, words, shared)
    assert all(0 < len(each.split()) <= words for each in found)
    if shared == 0:
        assert " ".join(found).split() == text.split()
    assert set(" ".join(found).split()) == set(text.split())


def test_short_paragraphs_stay_together():
    assert cut("one two\n\nthree\n\nfour five six", 4) == ["one two\n\nthree", "four five six"]


def test_a_passage_cannot_share_all_its_words():
    with pytest.raises(UsageError, match="cannot share 3"):
        cut("x", 3, 3)
