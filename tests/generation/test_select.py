"""What is kept of what a teacher made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.items import Item, Kind
from stillhouse.errors import UsageError
from stillhouse.generation.novelty import ByWords
from stillhouse.generation.select import Candidates, accepted, best_of, novel, pairs, sift


def asking(text):
    return Item(Kind.CHAT, ({"role": "user", "content": text},))


def saying(*texts):
    return tuple({"role": "assistant", "content": text} for text in texts)


def test_what_is_like_the_seeds_or_itself_is_left_out():
    made = [asking(text) for text in ("Name a colour", "name a colour!", "Write a poem about rain", "Sing")]
    found = sift(made, [novel(ByWords(["Sing"]))])
    assert [item.text for item in found.kept] == ["Name a colour", "Write a poem about rain"]
    assert [reason.split(":")[0] for _, reason in found.dropped] == ["not new", "not new"]
    assert found.counts == {"kept": 2, "not new": 2}


def test_what_a_judge_refused_does_not_block_what_is_like_it():
    grades = {"bad text here": 0.1, "bad text here now": 0.9}
    checks = [accepted(lambda item: grades[item.text], 0.5), novel(ByWords())]
    found = sift([asking(text) for text in grades], checks)
    assert [item.text for item in found.kept] == ["bad text here now"]
    assert found.dropped[0][1] == "judged too low: 0.10 of at least 0.50"


def test_a_judge_that_cannot_tell_does_not_accept():
    assert sift([asking("x")], [accepted(lambda _: None, 0.0)]).dropped[0][1].startswith("not judged")


@given(st.lists(st.text(max_size=8), max_size=8), st.floats(0.1, 1.0))
def test_nothing_is_lost(texts, most):
    found = sift([asking(text) for text in texts], [novel(ByWords(), most)])
    assert sorted(texts) == sorted(item.text for item in [*found.kept, *(item for item, _ in found.dropped)])
    assert sum(found.counts.values()) == len(texts)


def test_novelty_has_bounds():
    with pytest.raises(UsageError, match=r"within 0\.\.1, not by 7"):
        novel(ByWords(), 7)


def test_the_best_answer_is_taken_with_its_grade():
    candidates = Candidates(asking("?"), saying("a", "b", "c"), (0.2, None, 0.8))
    found = best_of(candidates, 0.5)
    assert found.words == "c"
    assert found.facts.grade == 0.8
    assert found.facts.metadata["of"] == "3"


def test_none_is_taken_that_is_not_good_enough():
    assert best_of(Candidates(asking("?"), saying("a"), (0.2,)), 0.5) is None
    assert best_of(Candidates(asking("?"), saying("a"), (None,))) is None
    assert best_of(Candidates(asking("?"), (), ())) is None


def test_the_best_and_the_worst_make_a_pair():
    found = pairs(Candidates(asking("?"), saying("a", "b", "c"), (0.2, 0.5, 0.8)))
    assert (found.words, found.rejected["content"]) == ("c", "a")
    assert found.kind == Kind.PREFERENCE
    assert found.facts.metadata["rejected_grade"] == "0.2000"


@pytest.mark.parametrize(
    ("answers", "scores", "margin"),
    [(("a", "b"), (0.5, 0.5), 0.0), (("a", "b"), (0.5, 0.6), 0.2), (("a", "a "), (0.1, 0.9), 0.0), (("a",), (1.0,), 0)],
)
def test_what_differs_too_little_is_no_pair(answers, scores, margin):
    assert pairs(Candidates(asking("?"), saying(*answers), scores), margin) is None


def test_an_answer_is_graded_once():
    asked = []

    def grade(item):
        asked.append(item.words)
        return float(len(item.words)) / 10

    found = Candidates.graded(asking("?"), saying("a", "bb", "a"), grade)
    assert found.scores == (0.1, 0.2, 0.1)
    assert asked == ["a", "bb"]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=6))
def test_best_and_worst_are_what_they_say(scores):
    candidates = Candidates(asking("?"), saying(*map(str, range(len(scores)))), tuple(scores))
    known = [score for score in scores if score is not None]
    best, pair = best_of(candidates), pairs(candidates)
    assert (best is None) == (not known)
    assert best is None or best.facts.grade == max(known)
    assert (pair is None) == (len(known) < 2 or max(known) == min(known))
