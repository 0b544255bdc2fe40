"""The gate: every route × every scope × another project, and what is said to those who are not let in."""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request

import openai
import pytest
from openai import OpenAI

from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from tests.gateway.serving import Keywords, prompt, served, status_of

MODEL = "desk/triage"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def with_store(home, database):
    """What a function does with the store, from outside of the server."""

    def outside(work):
        async def run():
            store = await Store.open(database, home)
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(run())

    return outside


@pytest.fixture(scope="module")
def keys(with_store) -> dict[str, str]:
    """The secret of a key with each scope, of one in another project, and of one that has expired."""

    async def make(store):
        made = {scope: (await store.keys.create("p", scope, [scope]))[1] for scope in Scope}
        made["other"] = (await store.keys.create("q", "other", [Scope.ADMIN]))[1]
        made["expired"] = (await store.keys.create("p", "expired", [Scope.ADMIN], expires=5))[1]
        return made

    return with_store(make)


@pytest.fixture(scope="module")
def gate(home, database) -> Gate:
    return Gate(Shelf(database, home))


@pytest.fixture(scope="module")
def url(gate):
    with served(create_app(House.of([Keywords()]), shelf=gate._shelf, gate=gate)) as url:
        yield url


@contextlib.contextmanager
def sdk(url: str, key: str):
    with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        yield client


def status(url: str, method: str, path: str, key: str | None) -> int:
    place = path.replace("{completion_id}", "chatcmpl-none").replace("{model:path}", "nobody")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return status_of(
        urllib.request.Request(f"{url}{place}", b"{}" if method == "POST" else None, headers, method=method)
    )


def test_every_route_takes_its_scope_and_no_other(url, gate, keys):
    assert len(gate.declared) >= 9
    for (method, path), needed in gate.declared.items():
        open_to_all = needed is None
        assert (status(url, method, path, None) == 401) != open_to_all, (method, path)
        assert (status(url, method, path, "sk-sh-" + "x" * 43) == 401) != open_to_all
        for scope in Scope:
            allowed = open_to_all or scope in (needed, Scope.ADMIN)
            assert (status(url, method, path, keys[scope]) != 403) == allowed, (method, path, scope)


def test_only_health_the_document_and_the_page_of_a_run_take_no_key_of_a_caller(gate, url):
    page = "/evals/{eval_id}/runs/{run_id}"  # which takes the key of the run
    opened = {path for (_, path), scope in gate.declared.items() if scope is None}
    assert opened == {"/healthz", "/openapi.json", page}


def test_no_project_reaches_what_is_another_s(url, keys):
    with sdk(url, keys["admin"]) as mine, sdk(url, keys["other"]) as theirs:
        made = mine.chat.completions.create(model=MODEL, messages=prompt("refund"), store=True, metadata={"tag": "a"})
        assert list(theirs.chat.completions.list()) == []
        assert list(theirs.chat.completions.list(metadata={"tag": "a"})) == []
        stored = theirs.chat.completions
        for call in (stored.retrieve, stored.delete, stored.messages.list, lambda one: stored.update(one, metadata={})):
            with pytest.raises(openai.NotFoundError):
                call(made.id)
        with pytest.raises(openai.BadRequestError):
            stored.list(after=made.id)
        assert mine.chat.completions.retrieve(made.id).metadata == {"tag": "a"}
        mine.chat.completions.delete(made.id)


def test_a_wrong_key_is_told_so_and_not_repeated(url, keys):
    for key in ("sk-proj-a-secret-of-another-service", keys["expired"]):
        with sdk(url, key) as client, pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
        assert caught.value.code == "invalid_api_key"
        assert key[8:] not in str(caught.value.body)


def test_a_missing_scope_is_named(url, keys):
    with sdk(url, keys["read"]) as client, pytest.raises(openai.PermissionDeniedError, match="infer") as caught:
        client.chat.completions.create(model=MODEL, messages=prompt("refund"))
    assert caught.value.code == "missing_scope"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic abc", "bearer '; DROP TABLE api_keys; --"])
def test_what_is_no_key_is_refused(url, value):
    request = urllib.request.Request(f"{url}/v1/models", headers={"Authorization": value})
    assert status_of(request) == 401


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "X-Original-Url"])
def test_no_header_leads_around_the_gate(url, name):
    request = urllib.request.Request(f"{url}/v1/models", headers={name: "localhost/healthz"})
    assert status_of(request) == 401


def test_the_hash_of_a_key_is_no_key(url, keys, with_store):
    async def digests(store):
        async with store.database.reading() as connection:
            return [row.digest.hex() for row in await connection.exec_driver_sql("SELECT digest FROM api_keys")]

    for digest in with_store(digests):
        assert status(url, "GET", "/v1/models", digest) == 401


def test_a_key_ends_within_a_second_after_it_was_revoked_elsewhere(url, with_store):
    secret = with_store(lambda store: store.keys.create("p", "leaving", [Scope.INFER]))[1]
    assert status(url, "GET", "/v1/models", secret) == 200
    with_store(lambda store: store.keys.revoke("leaving"))
    time.sleep(1)
    assert status(url, "GET", "/v1/models", secret) == 401


def test_its_last_use_is_noted(url, with_store, keys):
    assert status(url, "GET", "/v1/models", keys["infer"]) == 200
    listed = with_store(lambda store: store.keys.all())
    assert abs(next(key.used for key in listed if key.name == "infer") - time.time()) < 60


def test_without_a_shelf_of_keys_everybody_is_let_in(alone):
    assert status(alone, "GET", "/v1/models", None) == 200


def test_a_key_belongs_to_one_project_and_cannot_be_used_in_another(url, keys):
    def ask(project: str | None) -> int:
        headers = {"Authorization": f"Bearer {keys['admin']}"}
        if project is not None:
            headers["OpenAI-Project"] = project
        return status_of(urllib.request.Request(f"{url}/v1/models", headers=headers))

    assert [ask(None), ask("p"), ask("q"), ask("")] == [200, 200, 401, 401]
    with OpenAI(base_url=f"{url}/v1", api_key=keys["admin"], project="q", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
        assert caught.value.code == "mismatched_project"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example:8000"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "[::1].evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_where_no_key_is_needed_no_web_page_may_ask(alone, headers, expected):
    assert status_of(urllib.request.Request(f"{alone}/v1/models", headers=headers)) == expected


def test_where_keys_are_needed_any_name_of_the_server_will_do(url, keys):
    headers = {
        "Authorization": f"Bearer {keys['infer']}",
        "Host": "models.example.org",
        "Origin": "https://example.org",
    }
    assert status_of(urllib.request.Request(f"{url}/v1/models", headers=headers)) == 200
