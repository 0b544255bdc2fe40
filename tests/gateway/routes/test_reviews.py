"""The queue over the wire: what waits is listed, those worth most first, and answered."""

from __future__ import annotations

import asyncio

import pytest
import requests

from stillhouse.data.items import Item, Kind
from stillhouse.data.review import queue_of
from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Policy, Shelf
from stillhouse.storage.store import Store
from tests.gateway.serving import Keywords, served

ITEMS = [
    Item(Kind.TEXT, ({"role": "user", "content": text},), label="a", soft={"a": share, "b": 1 - share})
    for text, share in (("sure", 0.9), ("unsure", 0.5), ("between", 0.7))
]


@pytest.fixture
def url(own_database, tmp_path):
    async def fill() -> None:
        store = await Store.open(own_database, tmp_path)
        await store.reviews.add("default", queue_of(lambda: iter(ITEMS), "support@1", 10))
        await store.close()

    asyncio.run(fill())
    with served(create_app(House.of([Keywords()]), shelf=Shelf(own_database, tmp_path))) as url:
        yield f"{url}/v1/reviews"


def text(review) -> str:
    return review["item"]["messages"][0]["content"]


def test_what_waits_is_listed_and_answered(url):
    with requests.Session() as http:
        told = http.get(url, params={"limit": 2}).json()
        assert [text(each) for each in told["data"]] == ["unsure", "between"]
        assert told["counts"] == {"waiting": 3, "done": 0, "skipped": 0}
        first = told["data"][0]
        assert first["why"] == ["its likeliest label was held at 50%"]
        done = http.post(f"{url}/{first['id']}", json={"verdict": "wrong", "label": "b", "reviewer": "ada"}).json()
        assert (done["status"], done["said"]["label"], done["said"]["reviewer"]) == ("done", "b", "ada")
        assert http.get(f"{url}/{first['id']}").json() == done
        http.post(f"{url}/{told['data'][1]['id']}", json={"verdict": "skip"})
        after = http.get(url).json()
        assert [text(each) for each in after["data"]] == ["sure"]
        assert after["counts"] == {"waiting": 1, "done": 1, "skipped": 1}
        assert [text(each) for each in http.get(url, params={"status": "done"}).json()["data"]] == ["unsure"]


def test_what_is_said_of_one_is_kept_redacted(own_database, tmp_path, url):
    from stillhouse.data.redact import Redactor

    shelf = Shelf(own_database, tmp_path, policy=Policy(redact=Redactor().text))
    with served(create_app(House.of([Keywords()]), shelf=shelf)) as redacting, requests.Session() as http:
        [first, *_] = http.get(url).json()["data"]
        said = {"verdict": "wrong", "correction": "Write to ann@example.org", "comment": "card 4111 1111 1111 1111"}
        done = http.post(f"{redacting}/v1/reviews/{first['id']}", json=said).json()["said"]
        assert (done["correction"]["content"], done["comment"]) == ("Write to [EMAIL]", "card [CARD]")


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({}, "verdict"),
        ({"verdict": "maybe"}, "verdict"),
        ({"verdict": "right", "label": "b"}, "label"),
        ({"verdict": "wrong", "label": ""}, "label"),
        ({"verdict": "wrong", "preferred": "both"}, "preferred"),
        ({"verdict": "wrong", "lable": "b"}, "lable"),
    ],
)
def test_a_bad_verdict_is_refused_and_changes_nothing(url, said, param):
    with requests.Session() as http:
        first = http.get(url).json()["data"][0]
        refused = http.post(f"{url}/{first['id']}", json=said)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
        assert http.get(f"{url}/{first['id']}").json()["status"] == "waiting"


def test_a_review_that_is_not_there_is_not_found(url):
    assert requests.get(f"{url}/review_0", timeout=10).status_code == 404
    assert requests.get(url, params={"status": "lost"}, timeout=10).status_code == 400
