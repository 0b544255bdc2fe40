"""Holes that were found in another gateway in 2026, tried on this one.

SQL injection in the check of keys, a Host header that leads around the gate, a cache of keys that mixes two of them
up, templates that are run, commands that are run, and hashes of keys taken for keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from benchmarks.upstream import Upstream
from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.furnish import furnish
from stillhouse.gateway.shelf import Shelf
from stillhouse.recipes.server import ServerFile, TeacherSection
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from tests.gateway.raw import exchange, status
from tests.gateway.serving import Keywords, served, status_of

INJECTIONS = [
    "' OR '1'='1",
    "x' UNION SELECT * FROM api_keys --",
    "'; DROP TABLE api_keys; --",
    '" OR ""="',
    "sk-sh-%' ESCAPE '!",
    "sk-sh-' || (SELECT digest FROM api_keys LIMIT 1) || '",
]


async def made(home: Path, database: str | None) -> dict[str, str]:
    store = await Store.open(database, home)
    try:
        return {scope: (await store.keys.create("p", scope, [scope]))[1] for scope in (Scope.INFER, Scope.READ)}
    finally:
        await store.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def keys(home, database) -> dict[str, str]:
    return asyncio.run(made(home, database))


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream(remembers=True)


@pytest.fixture(scope="module")
def url(home, database, keys, upstream):
    shelf = Shelf(database, home)
    with served(upstream) as behind:
        file = ServerFile(teachers={"t": TeacherSection(base_url=behind, models={"large": "large"})})
        with served(create_app(furnish(file, [Keywords()]), shelf, Gate(shelf))) as url:
            yield url


def asked(url: str, key: str, path: str = "/v1/models", body: bytes | None = None, **headers: str) -> int:
    given = {"Authorization": f"Bearer {key}", **headers}
    return status_of(urllib.request.Request(url + path, body, given))


@pytest.mark.parametrize("words", INJECTIONS)
def test_sql_in_a_key_or_a_filter_is_words(url, keys, words):
    assert asked(url, words) == 401
    quoted = urllib.parse.quote(words)
    path = "/v1/chat/completions"
    assert asked(url, keys["read"], f"{path}?model={quoted}&metadata[{quoted}]={quoted}") == 200
    assert asked(url, keys["read"], f"{path}?after={quoted}") == 400
    assert asked(url, keys["read"], f"{path}?order={quoted}") == 400
    assert asked(url, keys["read"], f"{path}/{quoted}") == 404
    assert asked(url, keys["infer"]) == 200, "the keys are still there"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/models HTTP/1.1\r\nHost: localhost/healthz\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: x/healthz?\r\n",
        b"GET http://localhost/v1/models HTTP/1.1\r\nHost: localhost\r\nX-Original-URL: /healthz\r\n",
        b"GET //v1/models HTTP/1.1\r\nHost: localhost\r\nX-Rewrite-URL: /healthz\r\n",
        b"GET /healthz/../v1/models HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /healthz/%2e%2e/v1/models HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/models;/healthz HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Prefix: /healthz\r\n",
        b"HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n",
        b"OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
def test_no_address_and_no_header_leads_around_the_gate(url, head):
    answer = exchange(url, head + b"Connection: close\r\n\r\n")
    assert status(answer) in (400, 401, 404, 405), answer
    assert b'"data"' not in answer


def test_keys_with_the_same_beginning_are_two_keys(url, keys):
    """Believed keys are remembered whole, and what one may do is not remembered for another."""
    right = keys["infer"]
    assert asked(url, right) == 200
    for wrong in (right[:-1], right + "x", right[:-1] + ("a" if right[-1] != "a" else "b"), right.upper(), right[:20]):
        assert asked(url, wrong) == 401
    assert asked(url, right, "/v1/chat/completions") == 403
    assert asked(url, keys["read"], "/v1/chat/completions") == 200
    assert asked(url, right, "/v1/chat/completions") == 403


@pytest.mark.parametrize(
    "words", ["{{7*7}}", "{% for x in (1,2) %}{{x}}{% endfor %}", "${7*7}", "{{item.__class__}}", "%7B"]
)
def test_templates_in_a_call_are_words(url, keys, upstream, words):
    messages = [{"role": "user", "content": words}]
    body = json.dumps({"model": "large", "messages": messages, "user": words}).encode()
    assert asked(url, keys["infer"], "/v1/chat/completions", body) == 200
    assert (upstream.asked[-1]["messages"], upstream.asked[-1]["user"]) == (messages, words)


def test_no_caller_says_where_a_call_goes_what_key_it_takes_or_what_is_run(url, keys, upstream, tmp_path):
    elsewhere = Upstream(remembers=True)
    mark = tmp_path / "mark"
    with served(elsewhere) as other:
        more = {
            "api_base": other, "base_url": other, "api_key": "sk-mine", "custom_llm_provider": "openai",
            "command": f"touch {mark}", "mcp": {"command": "touch", "args": [str(mark)]},
            "metadata": {"x": f"$(touch {mark})"}, "fallbacks": [{"model": "large", "api_base": other}],
        }  # fmt: skip
        body = json.dumps({"model": "large", "messages": [{"role": "user", "content": "hi"}], **more}).encode()
        headers = {"X-Api-Base": other, "X-Base-Url": other}
        assert asked(url, keys["infer"], "/v1/chat/completions", body, **headers) == 200
        for path in ("/mcp/test", "/prompts/test", "/config/update", "/key/generate", "/v1/../mcp/test", "/debug"):
            assert asked(url, keys["infer"], path, body) in (404, 405)
    assert elsewhere.asked == []
    assert upstream.asked[-1]["model"] == "large"
    assert "authorization" not in upstream.headers[-1], "the caller's key is not handed on"
    assert not mark.exists()


def test_the_hash_of_a_key_is_no_key(url, keys):
    digest = hashlib.sha256(keys["infer"].encode())
    one_line = digest.digest().translate(None, b"\r\n")
    for wrong in (digest.hexdigest().encode(), one_line, keys["infer"][:12].encode()):
        headers = {"Authorization": b"Bearer " + wrong}
        request = urllib.request.Request(f"{url}/v1/models", headers=headers)
        assert status_of(request) in (400, 401)
