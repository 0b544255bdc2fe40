"""The queue: those worth most first, each item once, what was said is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.storage.feedback_records import ReviewState, StoredReview
from stillhouse.storage.reviews import Reviews
from stillhouse.storage.store import Store


@pytest.fixture
async def store(own_database, tmp_path):
    store = await Store.open(own_database, tmp_path)
    yield store
    await store.close()


@pytest.fixture
def reviews(store) -> Reviews:
    return store.reviews


def one(number: int, worth: float = 0.5) -> StoredReview:
    return StoredReview(f"review_{number}", 7, worth, ReviewState.WAITING, f"item{number}", "support@1", b'{"why":[]}')


async def test_those_worth_most_come_first_and_each_item_is_there_once(reviews):
    assert await reviews.add("p", [one(1, 0.2), one(2, 0.9), one(3, 0.5)]) == 3
    assert await reviews.add("p", [replace(one(9, 1.0), item="item2"), one(4, 0.1)]) == 1
    assert [each.id for each in await reviews.list("p")] == ["review_2", "review_3", "review_1", "review_4"]
    assert [each.id for each in await reviews.list("p", most=1)] == ["review_2"]
    assert await reviews.list("q") == []


async def test_what_was_said_is_kept_and_counted(reviews):
    await reviews.add("p", [one(1), one(2), one(3)])
    await reviews.settle("p", replace(one(1), state=ReviewState.DONE, content=b'{"said":{}}'))
    await reviews.settle("p", replace(one(2), state=ReviewState.SKIPPED))
    assert (await reviews.get("p", "review_1")).content == b'{"said":{}}'
    assert await reviews.counts("p") == {"waiting": 1, "done": 1, "skipped": 1}
    assert [each.id for each in await reviews.list("p", ReviewState.DONE)] == ["review_1"]
    assert len(await reviews.list("p", None)) == 3


async def test_only_what_waits_is_cleared(reviews):
    await reviews.add("p", [one(1), one(2)])
    await reviews.settle("p", replace(one(1), state=ReviewState.DONE))
    assert await reviews.clear("p") == 1
    assert await reviews.counts("p") == {"done": 1}
    assert await reviews.get("p", "review_2") is None


async def test_reviews_whose_key_was_destroyed_are_passed_over_and_hide_no_others(reviews, store):
    await store.vault.make("terminal:ada")
    theirs = [replace(one(number, 1.0), subject="ada") for number in (1, 2, 3)]
    await reviews.add("p", [*theirs, one(4), replace(one(5, 0.1), subject="bob")])
    await store.vault.shred("p", "ada", "terminal:ada")
    assert [each.id for each in await reviews.list("p", most=1)] == ["review_4"]
    assert [each.id for each in await reviews.list("p", most=2)] == ["review_4", "review_5"]
    assert [each.id for each in await reviews.list("p")] == ["review_4", "review_5"]
    assert await reviews.get("p", "review_1") is None
