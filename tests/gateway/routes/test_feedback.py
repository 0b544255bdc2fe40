"""Feedback over the wire: said of stored completions, listed, shown, deleted, and refused where it says nothing."""

from __future__ import annotations

import openai
import orjson
import pytest
import requests

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.store import Store
from tests.gateway.serving import LABELS, Keywords, prompt, served


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def kept(database, home):
    """A gateway, and the ids of three stored answers: two to one question, and one to another."""
    shelf = Shelf(database, home)
    with served(create_app(House.of([Keywords(), Keywords(LABELS)]), shelf=shelf)) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
            ids = [
                sdk.chat.completions.create(model="plain", messages=prompt(words), store=True).id
                for words in ("refund", "refund", "delivery")
            ]
        yield f"{url}/v1/feedback", ids


@pytest.fixture
def http():
    with requests.Session() as http:
        yield http


def test_what_is_said_is_kept_and_shown(kept, http):
    url, ids = kept
    said = {"completion_id": ids[0], "rating": "down", "correction": "delivery", "reviewer": "ada", "comment": "no"}
    made = http.post(url, json=said).json()
    assert made["object"] == "feedback"
    assert (made["rating"], made["reviewer"], made["comment"], made["metadata"]) == ("down", "ada", "no", {})
    assert made["correction"] == {"role": "assistant", "content": "delivery"}
    assert http.get(f"{url}/{made['id']}").json() == made
    listed = http.get(url, params={"completion_id": ids[0]}).json()
    assert (listed["data"], listed["has_more"], listed["first_id"]) == ([made], False, made["id"])
    assert http.get(url, params={"completion_id": ids[1]}).json()["data"] == []
    assert http.delete(f"{url}/{made['id']}").json() == {
        "id": made["id"],
        "object": "feedback.deleted",
        "deleted": True,
    }
    assert http.get(f"{url}/{made['id']}").status_code == 404


def test_one_of_two_answers_may_be_preferred(kept, http):
    url, ids = kept
    made = http.post(url, json={"completion_id": ids[0], "rejected_completion_id": ids[1]}).json()
    assert made["rejected"]["content"]
    other = http.post(url, json={"completion_id": ids[0], "rejected_completion_id": ids[2]})
    assert other.status_code == 400
    assert "answers another question" in other.json()["error"]["message"]


async def test_the_model_of_an_answer_that_was_liked_less_is_kept_with_it(kept, http, database, home):
    url, ids = kept
    made = http.post(url, json={"completion_id": ids[0], "rejected_completion_id": ids[1]}).json()
    store = await Store.open(database, home)
    try:
        found = await store.feedback.get("default", made["id"])
        [other] = await store.completions.several("default", [ids[1]])
        assert orjson.loads(found.content)["rejected_model"] == other.model
    finally:
        await store.close()


def test_the_openai_client_can_send_it_too(kept):
    url, ids = kept
    with openai.OpenAI(base_url=url.removesuffix("/feedback"), api_key="k", max_retries=0) as sdk:
        made = sdk.post("/feedback", body={"completion_id": ids[2], "rating": "up"}, cast_to=object)
    assert made["rating"] == "up"


@pytest.mark.parametrize(
    ("said", "status", "param", "words"),
    [
        ({"rating": "up"}, 400, "completion_id", "Missing required parameter"),
        ({"completion_id": "chatcmpl-0", "rating": "up"}, 404, "completion_id", "kept on stored completions"),
        ({"completion_id": 0}, 400, "rating", "says nothing"),
        ({"completion_id": 0, "rating": "good"}, 400, "rating", "good"),
        ({"completion_id": 0, "correction": " "}, 400, "correction", "empty"),
        ({"completion_id": 0, "correction": {"content": None}}, 400, "correction", "says nothing"),
        ({"completion_id": 0, "correction": {"text": "x"}}, 400, "correction.text", "Unknown parameter"),
        ({"completion_id": 0, "correction": 7}, 400, "correction", "a string or a message"),
        ({"completion_id": 0, "rejected_completion_id": 0}, 400, "rejected_completion_id", "was preferred"),
        ({"completion_id": 0, "ratng": "up"}, 400, "ratng", "Unknown parameter"),
    ],
)
def test_bad_feedback_is_refused_by_name(kept, http, said, status, param, words):
    url, ids = kept
    answer = http.post(url, json={key: ids[0] if value == 0 else value for key, value in said.items()})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    assert words in error["message"]


def test_an_unknown_page_and_id_are_refused(kept, http):
    url, _ = kept
    assert http.get(url, params={"after": "fb_0"}).status_code == 400
    assert http.get(f"{url}/fb_0").status_code == 404
    assert http.delete(f"{url}/fb_0").status_code == 404
