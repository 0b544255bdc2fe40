"""Calls: what a server has kept becomes items, each with where it comes from."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from stillhouse.data.calls import Calls, items_of_call
from stillhouse.data.items import Kind, Method, text_of
from stillhouse.storage.records import StoredCompletion, Wanted
from stillhouse.storage.store import Store


def call(number: int, **changes) -> StoredCompletion:
    given = {
        "id": f"chatcmpl-{number:04}",
        "created": 1_000 + number,
        "asked": "alias",
        "model": "large-1",
        "route": "teacher",
        "metadata": {"team": "billing", "subject": "ann", "session_id": "s1"},
        "answer": orjson.dumps(
            {"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
        ),
        "messages": orjson.dumps([{"role": "user", "content": f"question {number}"}]),
        **changes,
    }
    return StoredCompletion(**given)


def test_a_call_says_who_answered_when_and_about_whom():
    [item] = items_of_call(call(7))
    assert (item.kind, item.text, item.words) == (Kind.CHAT, "question 7", "yes")
    assert (item.facts.model, item.facts.created, item.facts.conversation, item.facts.subject) == (
        "large-1",
        1_007,
        "s1",
        "ann",
    )
    assert item.facts.metadata == {"team": "billing", "session_id": "s1"}
    source = item.source
    assert (source.method, source.origin, source.teacher) == (Method.CAPTURED, "chatcmpl-0007", "large-1")


def test_each_answer_is_an_item():
    choices = [
        {"index": place, "message": {"role": "assistant", "content": "same"}, "finish_reason": "stop"}
        for place in (0, 1)
    ]
    items = list(items_of_call(call(1, answer=orjson.dumps({"choices": choices}))))
    assert [text_of(item.answer) for item in items if item.answer] == ["same", "same"]
    assert len({item.id for item in items}) == 2


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(None, tmp_path)
    yield store
    await store.close()


async def test_calls_are_chosen_and_read_oldest_first(store):
    await store.completions.add("p", *[call(number, model=f"m{number % 2}") for number in range(2_500)])
    await store.completions.add("q", call(9_000))
    wanted = await Calls.wanted(store, "p", Wanted("m1", {"team": "billing"}), 1_500, 2_999)
    items = await asyncio.to_thread(lambda: list(wanted.items()))
    assert [item.facts.created for item in items] == list(range(1_501, 3_000, 2))
    assert wanted.counts == {"kept": 750}


async def test_what_is_no_conversation_is_counted(store):
    await store.completions.add("p", call(1, messages=b"[]"), call(2))
    wanted = await Calls.wanted(store, "p", Wanted(), None, None)
    items = await asyncio.to_thread(lambda: list(wanted.items()))
    assert [item.text for item in items] == ["question 2"]
    assert sum(wanted.counts.values()) == 2
