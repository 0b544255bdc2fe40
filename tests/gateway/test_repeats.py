"""Calls that are sent again with their `Idempotency-Key`, by the unmodified SDK: answered again, and done once."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from sqlalchemy import select, update

from stillhouse.gateway import repeats
from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.house import Answerer, House
from stillhouse.gateway.shelf import Policy, Shelf
from stillhouse.storage.answers import LASTS, LEASE
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from stillhouse.storage.tables import KEPT_ANSWERS
from stillhouse.teachers.api import Endpoint, TeacherModel
from stillhouse.teachers.asking import Patience
from stillhouse.wire.models import ModelCard
from tests.gateway.raw import exchange, status
from tests.gateway.serving import LABELS, Keywords, Teacher, prompt, served
from tests.storage.databases import SLOWLY_ON_BOTH, database_option

STUDENT, LARGE = "desk/triage", "large"
ROWS = b"".join(
    json.dumps({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}).encode() + b"\n"
    for _ in range(12)
)
EVAL = {
    "data_source_config": {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True},
    "testing_criteria": [
        {"type": "string_check", "name": "same", "input": "{{item.a}}", "reference": "b", "operation": "eq"}
    ],
}
SOURCE = {"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {"a": "b"}}]}}


ROOT = Path(__file__).resolve().parents[2]


class Slow(Keywords):
    """A student that thinks until it is let go."""

    def __init__(self) -> None:
        super().__init__(LABELS)
        self.asked, self.held = threading.Event(), threading.Event()

    def predict(self, texts):
        self.asked.set()
        assert self.held.wait(30)
        return super().predict(texts)


class Place:
    """A home folder, its database, and the keys of two projects."""

    def __init__(self, home, database: str | None) -> None:
        self.home, self.database = home, database
        self.teacher, self.slow = Teacher(), Slow()
        self.keys = self.within(self._keys)

    def within(self, work):
        """What a function does with the store, from outside of the server."""

        async def run():
            store = await Store.open(self.database, self.home)
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(run())

    @contextmanager
    def served(self, policy: Policy | None = None):
        """The URL of a server here, from its start to its end."""
        with served(self.teacher.app()) as api:
            endpoint, house = Endpoint(api, None, Patience(total=20.0, retries=0)), House.of([Keywords(), self.slow])
            house.enter(endpoint)
            house.add(Answerer(TeacherModel(endpoint, LARGE), ModelCard(LARGE, 1), is_far=True))
            shelf = Shelf(self.database, self.home, policy=policy)
            with served(create_app(house, shelf, Gate(shelf))) as url:
                yield url

    @contextmanager
    def sdk(self, url: str, project: int = 0, retries: int = 0):
        with OpenAI(base_url=f"{url}/v1", api_key=self.keys[project], max_retries=retries) as client:
            yield client

    def kept(self) -> list:
        async def rows(store):
            async with store.database.reading() as connection:
                return (await connection.execute(select(KEPT_ANSWERS))).all()

        return self.within(rows)

    def pass_time(self, seconds: int) -> None:
        async def change(store):
            async with store.database.writing() as connection:
                await connection.execute(update(KEPT_ANSWERS).values(expires=KEPT_ANSWERS.c.expires - seconds))

        self.within(change)

    def until_told(self, url: str, code: int, times: int) -> None:
        """Wait until so many calls have been answered with a status."""
        request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {self.keys[0]}"})
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with urllib.request.urlopen(request) as response:
                if re.search(rf'stillhouse_requests_total.*status="{code}".* {times}\.0', response.read().decode()):
                    return
            time.sleep(0.02)
        raise TimeoutError(f"status {code} was not told {times} times")

    @staticmethod
    async def _keys(store) -> list[str]:
        return [(await store.keys.create(name, name, [Scope.ADMIN]))[1] for name in ("p", "q")]


@pytest.fixture
def place(own_database, tmp_path) -> Place:
    return Place(tmp_path, own_database)


@pytest.fixture
def url(place):
    with place.served() as url:
        yield url


@pytest.fixture
def sdk(place, url):
    with place.sdk(url) as client:
        yield client


def key(words: str) -> dict:
    """The option of a call that names its key."""
    return {"extra_headers": {"Idempotency-Key": words}}


def same(first, again) -> None:
    """Two raw answers are the same to the byte, and the second says what it is."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert [each.headers.get("idempotent-replayed") for each in (first, again)] == [None, "true"]
    assert first.headers["x-request-id"] != again.headers["x-request-id"]


def test_what_is_made_twice_with_one_key_is_made_once(sdk):
    files = sdk.files.with_raw_response
    made = [files.create(file=("a.jsonl", ROWS), purpose="fine-tune", **key("file")) for _ in range(2)]
    same(*made)
    file = made[0].parse().id
    job = {"model": "stillhouse/auto", "training_file": file}
    same(*[sdk.fine_tuning.jobs.with_raw_response.create(**job, **key("job")) for _ in range(2)])
    made = [sdk.evals.with_raw_response.create(**EVAL, **key("eval")) for _ in range(2)]
    same(*made)
    assert made[1].status_code == 201
    of = made[0].parse().id
    same(*[sdk.evals.runs.with_raw_response.create(of, data_source=SOURCE, **key("run")) for _ in range(2)])
    upload = sdk.uploads.create(filename="r.bin", bytes=4, mime_type="text/plain", purpose="user_data")
    same(*[sdk.uploads.parts.with_raw_response.create(upload.id, data=b"four", **key("part")) for _ in range(2)])
    lists = [sdk.files.list(), sdk.fine_tuning.jobs.list(), sdk.evals.list(), sdk.evals.runs.list(of)]
    assert [len(each.data) for each in lists] == [1, 1, 1, 1]


def test_a_model_is_asked_once(sdk, place):
    chat = sdk.chat.completions.with_raw_response.create
    for model, words in ((STUDENT, "refund"), (LARGE, "hello")):
        call = {"model": model, "messages": prompt(words), "store": True}
        first, again = [chat(**call, **key(model)) for _ in range(2)]
        same(first, again)
        assert again.headers["x-stillhouse-route"] == first.headers["x-stillhouse-route"]
    assert len(place.teacher.asked) == 1
    assert len(sdk.chat.completions.list().data) == 2


def test_without_a_key_or_with_another_two_are_two(sdk):
    made = [sdk.evals.create(**EVAL).id for _ in range(2)]
    made += [sdk.evals.create(**EVAL, **key(words)).id for words in ("a", "b")]
    assert len(set(made)) == 4


def test_a_key_belongs_to_its_project_and_to_what_was_asked(sdk, place, url):
    mine = sdk.evals.create(**EVAL, **key("k"))
    with place.sdk(url, 1) as other:
        assert other.evals.create(**EVAL, **key("k")).id != mine.id
        assert len(other.evals.list().data) == 1
    chosen = sdk.evals.update(mine.id, name="new", **key("k"))  # at another path
    assert (chosen.id, chosen.name) == (mine.id, "new")


def test_another_body_with_the_same_key_is_refused(sdk):
    sdk.evals.create(**EVAL, **key("k"))
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.evals.create(**EVAL, name="other", **key("k"))
    assert (caught.value.code, caught.value.param) == ("idempotency_key_reused", "idempotency-key")
    assert len(sdk.evals.list().data) == 1


def test_forms_are_not_compared(sdk):
    first, again = [
        sdk.files.create(file=("a.txt", content), purpose="user_data", **key("k")) for content in (b"one", b"other")
    ]
    assert (again.id, sdk.files.content(first.id).content) == (first.id, b"one")


@pytest.mark.parametrize("words", ["k" * 256, "a\tb"])
def test_what_is_no_key_is_refused(sdk, words):
    with pytest.raises(openai.BadRequestError, match="Idempotency-Key") as caught:
        sdk.evals.create(**EVAL, extra_headers={"Idempotency-Key": words})
    assert caught.value.param == "idempotency-key"
    assert list(sdk.evals.list()) == []


def test_so_is_what_no_sdk_would_send(url, place):
    head = f"POST /v1/evals HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {place.keys[0]}\r\ncontent-length: 2\r\n"
    for lines in (
        "idempotency-key:\r\n",
        "idempotency-key: a\r\nIdempotency-Key: b\r\n",
        "idempotency-key: caf\u00e9\r\n",
    ):
        answer = exchange(url, f"{head}{lines}connection: close\r\n\r\n{{}}".encode("latin-1"))
        assert status(answer) == 400
        assert b"dempotency-" in answer


def test_the_longest_key_is_taken(sdk):
    words = "".join(chr(33 + number % 94) for number in range(255))
    assert len({sdk.evals.create(**EVAL, **key(words)).id for _ in range(2)}) == 1


def test_a_refusal_is_repeated_too(sdk):
    wrong = {**EVAL, "testing_criteria": [{**EVAL["testing_criteria"][0], "type": "multi"}]}
    told = []
    for _ in range(2):
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.evals.create(**wrong, **key("k"))
        told.append((caught.value.response.headers.get("idempotent-replayed"), caught.value.response.content))
    assert [each[0] for each in told] == [None, "true"]
    assert told[0][1] == told[1][1]


def test_while_the_first_is_answered_others_come_back_later(sdk, place, url):
    call = {"model": "plain", "messages": [{"role": "user", "content": "a parcel"}]}
    with ThreadPoolExecutor(2) as pool, place.sdk(url, retries=5) as patient:
        first = pool.submit(sdk.chat.completions.create, **call, **key("k"))
        assert place.slow.asked.wait(10)
        with pytest.raises(openai.ConflictError) as caught:
            sdk.chat.completions.create(**call, **key("k"))
        assert (caught.value.code, caught.value.response.headers["retry-after"]) == ("idempotency_key_in_use", "1")
        with pytest.raises(openai.BadRequestError):
            sdk.chat.completions.create(**call, seed=1, **key("k"))
        again = pool.submit(patient.chat.completions.with_raw_response.create, **call, **key("k"))
        place.until_told(url, 409, times=2)
        place.slow.held.set()
        assert again.result(20).parse().id == first.result(20).id
        assert again.result().headers["idempotent-replayed"] == "true"
        assert again.result().retries_taken > 0
    assert len(place.slow.batches) == 1


def test_a_claim_is_renewed_while_its_call_is_answered(sdk, place, monkeypatch):
    monkeypatch.setattr(repeats, "SECONDS", 0.05)
    call = {"model": "plain", "messages": [{"role": "user", "content": "a parcel"}]}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(sdk.chat.completions.create, **call, **key("k"))
        assert place.slow.asked.wait(10)
        place.pass_time(LEASE - 3)
        time.sleep(0.5)
        place.pass_time(LEASE - 3)
        with pytest.raises(openai.ConflictError):
            sdk.chat.completions.create(**call, **key("k"))
        place.slow.held.set()
        assert sdk.with_options(max_retries=5).chat.completions.create(**call, **key("k")).id == first.result(20).id


@pytest.mark.parametrize("mood", ["broken", "busy"])
def test_trouble_that_may_pass_is_not_kept(sdk, place, mood):
    place.teacher.mood = mood
    call = {"model": LARGE, "messages": prompt("hello")}
    with pytest.raises(openai.APIStatusError):
        sdk.chat.completions.create(**call, **key("k"))
    assert place.kept() == []
    place.teacher.mood = "well"
    assert sdk.chat.completions.create(**call, **key("k")).choices[0].message.content == "teacher says"


def test_nor_is_what_broke_down(url, place):
    for _ in range(2):
        with place.sdk(url) as sdk, pytest.raises(openai.InternalServerError) as caught:
            sdk.chat.completions.create(model=STUDENT, messages=prompt("crash"), **key("k"))
        assert "idempotent-replayed" not in caught.value.response.headers
    assert place.kept() == []


@pytest.mark.parametrize("model", [STUDENT, LARGE])
def test_a_stream_is_done_anew(sdk, place, model):
    for _ in range(2):
        events = sdk.chat.completions.create(model=model, messages=prompt("refund"), stream=True, **key("k"))
        assert "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    assert len(place.teacher.asked) == (2 if model == LARGE else 0)
    assert place.kept() == []


def test_a_large_answer_is_not_kept(sdk, place, monkeypatch):
    monkeypatch.setattr(repeats, "LARGEST", 100)
    made = [sdk.evals.create(**EVAL, **key("k")).id for _ in range(2)]
    assert len(set(made)) == 2
    assert place.kept() == []


@pytest.mark.parametrize("policy", [Policy(content=False), Policy(redact=lambda text: "-")])
def test_where_no_words_are_kept_answers_of_models_are_not(place, policy):
    with place.served(policy) as url, place.sdk(url) as sdk:
        call = {"model": LARGE, "messages": prompt("hello")}
        assert [sdk.chat.completions.create(**call, **key("k")).choices[0].message.content for _ in range(2)]
        assert len(place.teacher.asked) == 2
        assert place.kept() == []
        assert len({sdk.evals.create(**EVAL, **key("k")).id for _ in range(2)}) == 1


def test_all_that_repeats_what_was_said_is_a_route(tmp_path):
    gate = Gate()
    create_app(House(), Shelf(None, tmp_path), gate)
    assert {("POST", path) for path in repeats.SPOKEN} <= set(gate.declared)


def test_neither_key_nor_body_is_kept(sdk, place):
    words = "a-key-that-nobody-reads-again"
    sdk.evals.create(**EVAL, **key(words))
    [row] = place.kept()
    told = b"".join(each if isinstance(each, bytes) else str(each).encode() for each in row)
    assert words.encode() not in told
    assert place.keys[0].encode() not in told
    assert (row.project, len(row.place), len(row.body), row.status) == ("p", 32, 32, 201)


def test_an_answer_outlives_its_server_and_ends_after_a_day(place):
    with place.served() as url, place.sdk(url) as sdk:
        first = sdk.evals.with_raw_response.create(**EVAL, **key("k"))
    with place.served() as url, place.sdk(url) as sdk:
        same(first, sdk.evals.with_raw_response.create(**EVAL, **key("k")))
        place.pass_time(LASTS)
        assert sdk.evals.create(**EVAL, **key("k")).id != first.parse().id
        assert len(sdk.evals.list().data) == 2


def killed_after(home, database: str | None, work):
    """What a function does with a client of `stillhouse serve`, which is killed as soon as it is done."""
    command = [sys.executable, "-m", "stillhouse", "serve", "--home", home, "--port", "0", "--no-worker", "--json"]
    with subprocess.Popen([*command, *database_option(database)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            told = json.loads(process.stdout.readline())
            with OpenAI(base_url=told["base_url"], api_key="k", max_retries=0) as sdk:
                return work(sdk)
        finally:
            process.kill()


@SLOWLY_ON_BOTH
def test_what_was_acknowledged_is_repeated_after_a_kill(tmp_path, own_database):
    def make(sdk):
        return sdk.evals.with_raw_response.create(**EVAL, **key("k"))

    place = (tmp_path, own_database)
    same(killed_after(*place, make), killed_after(*place, make))
    assert len(killed_after(*place, lambda sdk: sdk.evals.list().data)) == 1


def test_what_a_client_did_not_wait_for_is_done_anew(sdk, place):
    place.teacher.mood = "slow"
    call = {"model": LARGE, "messages": prompt("hello")}
    with pytest.raises(openai.APITimeoutError):
        sdk.with_options(timeout=0.5).chat.completions.create(**call, **key("k"))
    place.teacher.mood = "well"
    again = sdk.with_options(max_retries=5).chat.completions.with_raw_response.create(**call, **key("k"))
    assert again.parse().choices[0].message.content == "teacher says"
    assert "idempotent-replayed" not in again.headers


def test_what_a_student_said_to_nobody_is_told_to_who_asks_again(sdk, place):
    call = {"model": "plain", "messages": [{"role": "user", "content": "a parcel"}]}
    with pytest.raises(openai.APITimeoutError):
        sdk.with_options(timeout=0.5).chat.completions.create(**call, **key("k"))
    place.slow.held.set()
    again = sdk.with_options(max_retries=5).chat.completions.with_raw_response.create(**call, **key("k"))
    assert again.headers["idempotent-replayed"] == "true"
    assert len(place.slow.batches) == 1


def test_what_a_killed_server_was_at_is_done_anew_soon(place):
    with place.served() as url, place.sdk(url) as sdk:
        first = sdk.evals.create(**EVAL, **key("k")).id

        async def forget_the_answer(store):  # as if the server had been killed before it kept it
            async with store.database.writing() as connection:
                await connection.execute(update(KEPT_ANSWERS).values(status=None, content=None, headers=None))

        place.within(forget_the_answer)
        with pytest.raises(openai.ConflictError):
            sdk.evals.create(**EVAL, **key("k"))
        place.pass_time(LASTS)
        assert sdk.evals.create(**EVAL, **key("k")).id != first


def test_a_server_that_keeps_nothing_does_not_read_it(alone):
    body = json.dumps({"model": STUDENT, "messages": prompt("refund")}).encode()
    ids = []
    for _ in range(2):
        request = urllib.request.Request(f"{alone}/v1/chat/completions", body, {"Idempotency-Key": "k"})
        with urllib.request.urlopen(request) as response:
            ids.append(json.load(response)["id"])
    assert len(set(ids)) == 2


def test_a_body_that_is_too_large_is_refused_and_nothing_is_claimed(url, place):
    headers = {"Authorization": f"Bearer {place.keys[0]}", "Idempotency-Key": "k"}
    request = urllib.request.Request(f"{url}/v1/evals", b" " * (8 * 2**20 + 1), headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as error:
        assert error.code == 413
    assert place.kept() == []
