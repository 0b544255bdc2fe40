"""Feedback is kept by project, listed by call, and forgotten."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from stillhouse.storage.feedback import FeedbackBook
from stillhouse.storage.feedback_records import StoredFeedback
from stillhouse.storage.records import Cut
from stillhouse.storage.sealing import is_sealed
from stillhouse.storage.store import Store
from stillhouse.storage.tables import FEEDBACK


@pytest.fixture
async def store(own_database, tmp_path):
    store = await Store.open(own_database, tmp_path)
    yield store
    await store.close()


@pytest.fixture
def book(store) -> FeedbackBook:
    return store.feedback


def one(number: int, completion: str = "chatcmpl-1", subject: str | None = None) -> StoredFeedback:
    return StoredFeedback(f"fb_{number:04}", number, completion, b'{"rating":"up"}', subject)


def ids(page) -> list[str]:
    return [row.id for row in page.rows]


async def test_what_is_added_is_found_in_its_project_alone(book):
    await book.add("p", one(1, subject="ada"))
    assert await book.get("p", "fb_0001") == one(1, subject="ada")
    assert await book.get("q", "fb_0001") is None
    assert ids(await book.page("q", Cut())) == []


async def test_pages_are_of_all_or_of_one_call(book):
    for number in range(1, 6):
        await book.add("p", one(number, f"chatcmpl-{number % 2}"))
    page = await book.page("p", Cut(limit=2))
    assert (ids(page), page.has_more) == (["fb_0005", "fb_0004"], True)
    assert ids(await book.page("p", Cut(limit=2, after="fb_0004"))) == ["fb_0003", "fb_0002"]
    assert ids(await book.page("p", Cut(ascending=True), "chatcmpl-1")) == ["fb_0001", "fb_0003", "fb_0005"]
    assert await book.page("p", Cut(after="fb_0009")) is None


async def test_what_is_deleted_is_gone(book):
    await book.add("p", one(1))
    assert await book.delete("q", "fb_0001") is False
    assert await book.delete("p", "fb_0001") is True
    assert await book.get("p", "fb_0001") is None
    assert await book.delete("p", "fb_0001") is False


async def test_words_are_encrypted_where_there_is_a_vault(store, book):
    await store.vault.make("test")
    await book.add("p", one(1, subject="ada"))
    async with store.database.reading() as connection:
        kept = (await connection.execute(select(FEEDBACK.c.content))).scalar()
    assert is_sealed(bytes(kept))
    assert await book.get("p", "fb_0001") == one(1, subject="ada")
    await store.vault.shred("p", "ada", "test")
    assert (await book.get("p", "fb_0001")).content == b"{}"
