"""What is kept of what a teacher made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.items import Facts, Item, Kind, Media, Source
from stillhouse.data.terms import Book, apart
from stillhouse.data.trace import Trace
from stillhouse.errors import UsageError
from stillhouse.generation.novelty import ByWords
from stillhouse.generation.select import (
    Candidates,
    accepted,
    best_of,
    best_of_each,
    novel,
    pairs,
    pairs_of_each,
    sift,
)


def asking(text):
    return Item(Kind.CHAT, ({"role": "user", "content": text},))


def answered(*texts):
    return tuple(replace(asking("?"), answer={"role": "assistant", "content": text}) for text in texts)


def told(answer, grade, teacher, subject, picture="cat"):
    """A graded answer about a picture, by one teacher and for one person."""
    return Item(
        Kind.PAIRED,
        ({"role": "user", "content": "What is it?"},),
        {"role": "assistant", "content": answer},
        media=(Media(picture, "image/png", "a.png", 9),),
        facts=Facts(grade=grade, subject=subject, model=teacher),
        source=Source(origin=f"call-{subject}", teacher=teacher),
    )


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
    candidates = Candidates(answered("a", "b", "c"), (0.2, None, 0.8))
    found = best_of(candidates, 0.5)
    assert found.words == "c"
    assert found.facts.grade == 0.8
    assert found.facts.metadata["of"] == "3"


def test_none_is_taken_that_is_not_good_enough():
    assert best_of(Candidates(answered("a"), (0.2,)), 0.5) is None
    assert best_of(Candidates(answered("a"), (None,))) is None
    assert best_of(Candidates((), ())) is None


def test_the_best_and_the_worst_make_a_pair():
    found = pairs(Candidates(answered("a", "b", "c"), (0.2, 0.5, 0.8)))
    assert (found.words, found.rejected["content"]) == ("c", "a")
    assert found.kind == Kind.PREFERENCE
    assert found.facts.metadata["rejected_grade"] == "0.2000"


@pytest.mark.parametrize(
    ("answers", "scores", "margin"),
    [(("a", "b"), (0.5, 0.5), 0.0), (("a", "b"), (0.5, 0.6), 0.2), (("a", "a "), (0.1, 0.9), 0.0), (("a",), (1.0,), 0)],
)
def test_what_differs_too_little_is_no_pair(answers, scores, margin):
    assert pairs(Candidates(answered(*answers), scores), margin) is None


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=6))
def test_best_and_worst_are_what_they_say(scores):
    candidates = Candidates(answered(*map(str, range(len(scores)))), tuple(scores))
    known = [score for score in scores if score is not None]
    best, pair = best_of(candidates), pairs(candidates)
    assert (best is None) == (not known)
    assert best is None or best.facts.grade == max(known)
    assert (pair is None) == (len(known) < 2 or max(known) == min(known))


A = told("a cat", 0.2, "gpt-x", "user-a")
B = told("a tabby cat, asleep", 0.9, "llama", "user-b")
C = told("a dog", None, "gpt-x", "user-c")


def test_the_best_answer_keeps_who_gave_it_and_the_others_lie_beside():
    found = best_of_each([A, B, C])
    assert [(item.id, item.source, item.facts.subject, item.facts.model) for item in found.kept] == [
        (B.id, B.source, "user-b", "llama")
    ]
    assert found.dropped == ((A, "not the best"), (C, "no grade"))


def test_a_pair_is_of_both_who_gave_its_answers():
    [pair] = pairs_of_each([A, C, B]).kept
    assert (pair.words, pair.rejected, pair.facts.subject) == (B.words, A.answer, "user-b")
    assert apart({pair.source.teacher: 1}, Book()) == {"gpt-x": 1, "llama": 1}
    for person, own in (("user-a", A), ("user-b", B)):
        trace = Trace(person)
        trace.learn_item(own)
        assert trace.is_item(pair)
    assert not Trace("user-c", [C.id]).is_item(pair)
    assert pairs_of_each([A, C, B]).dropped == ((C, "no grade"),)


def test_answers_about_other_pictures_are_no_candidates():
    other = told("a dog", 0.5, "gpt-x", "user-a", "dog")
    assert [item.media for item in best_of_each([other, A, B]).kept] == [other.media, B.media]
    assert pairs_of_each([other, B]).kept == ()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0.1, 0.5, 0.9]), st.booleans()), max_size=9))
def test_of_many_answers_none_is_lost(rows):
    items = []
    for row, (picture, grade, there) in enumerate(rows):
        item = replace(told(str(row), grade, "t", "s", picture), source=Source(row=row))
        items.append(item if there else replace(item, answer=None))
    for found in (best_of_each(items), pairs_of_each(items)):
        made_of = [each for item in found.kept for each in item.source.parents or (item.id,)]
        assert sorted([*made_of, *(item.id for item, _ in found.dropped)]) == sorted(item.id for item in items)
        assert [item.source.row for item in found.kept] == sorted(item.source.row for item in found.kept)
