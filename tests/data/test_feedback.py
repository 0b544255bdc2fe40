"""Feedback becomes material: corrections and preferences to learn from, ratings to filter by."""

from __future__ import annotations

import orjson
import pytest

from stillhouse.data.feedback import gather, items_of_feedback
from stillhouse.data.items import Item, Kind, Method, Source
from stillhouse.data.review import queue_of, settled
from stillhouse.storage.feedback_records import StoredFeedback
from stillhouse.storage.records import StoredCompletion
from stillhouse.storage.store import Store

CALL = Item(
    Kind.CHAT,
    ({"role": "user", "content": "When?"},),
    {"role": "assistant", "content": "Never."},
    source=Source(Method.CAPTURED, "chatcmpl-1", teacher="large"),
)
RIGHT = {"role": "assistant", "content": "On Monday."}


def said(number: int, **content) -> StoredFeedback:
    return StoredFeedback(f"fb_{number}", number, "chatcmpl-1", orjson.dumps(content))


def test_the_last_correction_counts_and_is_preferred_to_what_was_said():
    other = {"role": "assistant", "content": "On Sunday."}
    right, better = items_of_feedback(CALL, [said(1, correction=other, rating="down"), said(2, correction=RIGHT)])
    assert (right.answer, right.truth, right.facts.grade) == (RIGHT, "On Monday.", 1.0)
    assert (better.kind, better.answer, better.rejected) == (Kind.PREFERENCE, RIGHT, CALL.answer)
    assert right.source.origin == "fb_2"
    assert right.source.parents == (CALL.id,)


@pytest.mark.parametrize(("ratings", "grade"), [(["up"], 1.0), (["up", "down"], 0.0)])
def test_the_last_rating_is_the_grade_of_the_call(ratings, grade):
    [found] = items_of_feedback(CALL, [said(at, rating=rating) for at, rating in enumerate(ratings)])
    assert (found.answer, found.facts.grade) == (CALL.answer, grade)


def test_an_answer_that_was_liked_less_makes_a_preference():
    [found] = items_of_feedback(CALL, [said(1, rejected={"role": "assistant", "content": "Ask me later."})])
    assert (found.kind, found.answer, found.rejected["content"]) == (Kind.PREFERENCE, CALL.answer, "Ask me later.")


def test_a_preference_of_two_models_names_both_as_its_teachers():
    rejected = {"role": "assistant", "content": "Ask me later."}
    for other, teacher in (("big", "big+large"), ("large", "large"), (None, "large")):
        [found] = items_of_feedback(CALL, [said(1, rejected=rejected, rejected_model=other)])
        assert found.source.teacher == teacher


def test_a_comment_alone_teaches_nothing():
    assert list(items_of_feedback(CALL, [said(1, comment="hm")])) == []


async def test_everything_that_was_said_is_gathered_and_counted(tmp_path):
    store = await Store.open(None, tmp_path)
    try:
        answer = {"choices": [{"message": {"role": "assistant", "content": "Never."}, "finish_reason": "stop"}]}
        asked = orjson.dumps([{"role": "user", "content": "When?"}])
        for name in ("chatcmpl-1", "chatcmpl-2"):
            await store.completions.add(
                "p", StoredCompletion(name, 5, "m", "m", "teacher", {}, orjson.dumps(answer), asked)
            )
        await store.feedback.add("p", said(1, correction=RIGHT))
        await store.feedback.add("p", StoredFeedback("fb_8", 8, "chatcmpl-2", orjson.dumps({"comment": "hm"})))
        gone = StoredFeedback("fb_9", 9, "chatcmpl-9", orjson.dumps({"rating": "up"}))
        await store.feedback.add("p", gone)
        unsure = Item(Kind.TEXT, ({"role": "user", "content": "hm"},), label="a", soft={"a": 0.5, "b": 0.5})
        [review] = queue_of(lambda: iter([unsure]), "support@1", 5)
        await store.reviews.add("p", [review])
        await store.reviews.settle("p", settled(review, {"verdict": "wrong", "label": "b"}, skips=False))
        items, counts = await gather(store, "p")
        assert [item.kind for item in items] == [Kind.CHAT, Kind.PREFERENCE, Kind.TEXT]
        assert counts == {
            "feedback": 3,
            "calls": 3,
            "without a call": 1,
            "calls without anything to learn": 1,
            "reviews": 1,
            "items": 3,
        }
        assert await gather(store, "q") == ([], {**dict.fromkeys(counts, 0)})
    finally:
        await store.close()
