"""`stillhouse feedback`: what was said is listed, doubtful items are queued and looked at, and both are collected."""

from __future__ import annotations

import asyncio
import io
import json

import orjson
import pytest

from stillhouse.data.catalogue import Catalogue, Step
from stillhouse.data.items import Item, Kind, Source
from stillhouse.storage.feedback_records import StoredFeedback
from stillhouse.storage.records import StoredCompletion
from stillhouse.storage.store import Store
from tests.cli.keeping import caller, keep

ITEMS = [
    Item(
        Kind.TEXT,
        ({"role": "user", "content": words},),
        label="a",
        soft={"a": share, "b": 1 - share},
        source=Source(origin="calls.jsonl", row=row),
    )
    for row, (words, share) in enumerate([("sure", 0.995), ("unsure", 0.5), ("between", 0.7), ("third", 0.8)], 1)
]


@pytest.fixture
def told(own_database, tmp_path, capsys):
    return caller(own_database, tmp_path, capsys)


@pytest.fixture
def support(own_database, tmp_path):
    async def work() -> None:
        store = await Store.open(own_database, tmp_path)
        await Catalogue(store, tmp_path, "default").add("support", ITEMS, Step("import"))
        await store.close()

    asyncio.run(work())


def test_doubtful_items_are_queued_looked_at_and_collected(support, told, monkeypatch):
    assert told("feedback", "queue", "support")[1].startswith("3 items of support@1 were added; 3 wait.")
    again = json.loads(told("feedback", "queue", "support", "--json")[1])
    assert (again["worth_a_look"], again["added"], again["counts"]) == (3, 0, {"waiting": 3})
    monkeypatch.setattr("sys.stdin", io.StringIO("b\n\nq\n"))  # wrong: b; right; enough
    code, shown = told("feedback", "review", "--reviewer", "ada")
    assert code == 0
    assert shown.index("unsure") < shown.index("between")
    assert "2 looked at" in shown
    waiting = json.loads(told("feedback", "review", "--json")[1])
    assert waiting["counts"] == {"waiting": 1, "done": 2}
    [last] = waiting["reviews"]
    assert json.loads(told("feedback", "answer", last["id"], "--label", "c", "--json")[1])["said"]["label"] == "c"
    collected = json.loads(told("feedback", "collect", "corrections", "--json")[1])
    assert (collected["dataset"], collected["items"]) == ("corrections@1", 3)
    assert collected["counts"]["reviews"] == 3


def test_feedback_is_listed_and_collected(told, own_database, tmp_path):
    assert "no feedback yet" in told("feedback", "list")[1]
    answer = orjson.dumps({"choices": [{"message": {"role": "assistant", "content": "No."}, "finish_reason": "stop"}]})
    asked = orjson.dumps([{"role": "user", "content": "When?"}])
    keep(own_database, tmp_path, StoredCompletion("chatcmpl-1", 5, "m", "m", "teacher", {}, answer, asked))

    async def say() -> None:
        store = await Store.open(own_database, tmp_path)
        worse = {"role": "assistant", "content": "Never."}
        said = {"rating": "down", "correction": {"role": "assistant", "content": "On Monday."}, "rejected": worse}
        said = orjson.dumps(said)
        await store.feedback.add("default", StoredFeedback("fb_1", 9, "chatcmpl-1", said))
        await store.close()

    asyncio.run(say())
    assert "down · On Monday. · better than: Never." in told("feedback", "list")[1]
    assert json.loads(told("feedback", "list", "--json")[1])["feedback"][0]["rating"] == "down"
    assert json.loads(told("feedback", "collect", "corrections", "--json")[1])["items"] == 3
    [read] = json.loads(told("audit", "list", "--action", "feedback.", "--json")[1])["entries"]
    assert (read["action"], read["object"], read["details"]["feedback"]) == ("feedback.read", "corrections@1", 1)


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_what_cannot_be_is_said(told):
    assert "There is no dataset" in told("feedback", "queue", "nothing")[1]
    assert "no review review_9" in told("feedback", "answer", "review_9", "--right")[1]
    assert "Say one thing" in told("feedback", "answer", "review_9")[1]
    assert "Say one thing" in told("feedback", "answer", "review_9", "--right", "--label", "a")[1]
    assert "Nobody has said anything yet" in told("feedback", "collect", "corrections")[1]
