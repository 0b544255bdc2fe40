"""The queue of doubtful items: what is worth a look, and what a look gives to learn from."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from stillhouse.data.items import Facts, Item, Kind, Method, Source
from stillhouse.data.review import items_of_review, queue_of, review_item, settled, worth_of
from stillhouse.storage.feedback_records import ReviewState


def item(text: str, label: str | None = "refund", **more) -> Item:
    return Item(
        Kind.TEXT, ({"role": "user", "content": text},), label=label, source=Source(origin="a.jsonl", row=1), **more
    )


SURE = item("send it back", soft={"refund": 0.99, "other": 0.01})
UNSURE = item("hm", soft={"refund": 0.5, "other": 0.5})
WRONG = item("where is it", truth="delivery")
PLAIN = item("nothing is known of this one")


def reviewed(one: Item, **said):
    [review] = queue_of(lambda: iter([one]), "support@1", 10)
    return settled(review, said, said["verdict"] == "skip")


def test_what_is_known_to_be_wrong_comes_before_what_is_unsure():
    queue = queue_of(lambda: iter([SURE, PLAIN, UNSURE, WRONG]), "support@1", 10)
    assert [review_item(review) for review in queue] == [WRONG, UNSURE, SURE]
    assert [review.worth for review in queue] == pytest.approx([1.0, 0.5, 0.01])
    assert {review.origin for review in queue} == {"support@1"}


def test_a_text_that_came_often_is_worth_more_and_asked_about_once():
    often = [replace(UNSURE, source=Source(origin="a.jsonl", row=row)) for row in range(7)]
    queue = queue_of(lambda: iter([WRONG, *often]), "support@1", 10)
    assert len(queue) == 2
    assert queue[0].worth == pytest.approx(0.5 * 3)
    assert "7 items have the same text" in orjson.loads(queue[0].content)["why"]


def test_no_more_are_queued_than_are_wanted_and_none_that_somebody_corrected():
    by_hand = replace(WRONG, source=replace(WRONG.source, method=Method.CORRECTED))
    assert [review_item(each) for each in queue_of(lambda: iter([UNSURE, by_hand, SURE]), "s@1", 1)] == [UNSURE]


@pytest.mark.parametrize(
    ("one", "chance"),
    [
        (PLAIN, 0.0),
        (item("a", truth="Refund "), 0.0),
        (item("a", facts=Facts(grade=0.25)), 0.75),
        (item("a", facts=Facts(grade=0.9), soft={"refund": 0.7}), 0.3),
    ],
)
def test_the_strongest_sign_counts(one, chance):
    assert worth_of(one).chance == pytest.approx(chance)


def test_a_right_item_is_confirmed():
    [found] = items_of_review(reviewed(UNSURE, verdict="right"))
    assert (found.label, found.truth, found.facts.grade) == ("refund", "refund", 1.0)
    assert found.source.method is Method.CORRECTED
    assert found.source.parents == (UNSURE.id,)


def test_a_label_is_corrected_and_what_said_otherwise_is_gone():
    [found] = items_of_review(reviewed(UNSURE, verdict="wrong", label="other"))
    assert (found.label, found.truth, found.soft) == ("other", "other", {})


def test_a_corrected_answer_gives_a_preference_too():
    said = {"role": "assistant", "content": "It comes on Monday."}
    call = replace(UNSURE, kind=Kind.CHAT, label=None, answer={"role": "assistant", "content": "No idea."})
    right, better = items_of_review(reviewed(call, verdict="wrong", correction=said))
    assert (right.kind, right.answer, right.truth) == (Kind.CHAT, said, "It comes on Monday.")
    assert (better.kind, better.answer, better.rejected) == (Kind.PREFERENCE, said, call.answer)
    assert right.id != better.id


def test_an_answer_that_is_a_label_is_corrected_with_it():
    call = replace(UNSURE, kind=Kind.CHAT, answer={"role": "assistant", "content": "refund"})
    right, better = items_of_review(reviewed(call, verdict="wrong", label="other"))
    assert (right.label, right.words) == ("other", "other")
    assert better.rejected == call.answer


def test_a_preference_may_be_turned_around():
    answers = [{"role": "assistant", "content": word} for word in ("one", "two")]
    pair = replace(UNSURE, kind=Kind.PREFERENCE, answer=answers[0], rejected=answers[1])
    [turned] = items_of_review(reviewed(pair, verdict="wrong", preferred="rejected"))
    assert (turned.answer, turned.rejected) == (answers[1], answers[0])


@pytest.mark.parametrize("verdict", ["skip", "wrong"])
def test_what_says_nothing_gives_nothing(verdict):
    done = reviewed(UNSURE, verdict=verdict)
    assert done.state is (ReviewState.SKIPPED if verdict == "skip" else ReviewState.DONE)
    assert list(items_of_review(done)) == []


def test_a_review_whose_item_was_erased_teaches_nothing():
    erased = replace(reviewed(UNSURE, verdict="right"), content=orjson.dumps({"said": {"verdict": "right"}}))
    assert list(items_of_review(erased)) == []
