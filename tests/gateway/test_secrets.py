"""Canaries: the keys of a teacher and of callers appear nowhere but where they must: in the request they are for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import urllib.error
import urllib.request

import pytest

from benchmarks.upstream import Upstream
from stillhouse.cli.main import run
from stillhouse.errors import UsageError
from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.furnish import furnish
from stillhouse.gateway.shelf import Policy, Shelf
from stillhouse.recipes.server import read_server_file
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from tests.gateway.serving import Keywords, Teacher, prompt, served
from tests.storage.databases import SLOWLY_ON_BOTH, kept_bytes

CANARY = "sk-canary-of-the-teacher-a1b2c3d4e5f6"
MOODS = ["well", "broken", "busy", "strict", "repeating", "page", "silent", "dying"]


@pytest.fixture
def noises(caplog, capfd):
    """All that is said in logs and on the terminal, at every level."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text + "".join(capfd.readouterr())


async def callers_key(home, database: str | None) -> str:
    store = await Store.open(database, home)
    try:
        return (await store.keys.create("p", "caller", [Scope.ADMIN]))[1]
    finally:
        await store.close()


def ask(url: str, key: str, path: str, body: bytes | None = None) -> bytes:
    """Headers and body of whatever is answered."""
    request = urllib.request.Request(url + path, body, {"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return str(response.headers).encode() + response.read()
    except urllib.error.HTTPError as error:
        with error:
            return str(error.headers).encode() + error.read()


@SLOWLY_ON_BOTH
def test_no_key_leaves_its_place(tmp_path, own_database, monkeypatch, noises):
    monkeypatch.setenv("TEACHER_KEY", CANARY)
    teacher, seen = Teacher(), b""
    with served(teacher.app()) as behind:
        options = ("--base-url", behind, "--key-env", "TEACHER_KEY", "--model", "large", "--home", str(tmp_path))
        assert run(["teacher", "add", "desk", *options, "--json"]) == 0
        assert run(["teacher", "list", "--home", str(tmp_path)]) == 0
        key = asyncio.run(callers_key(tmp_path, own_database))
        shelf = Shelf(own_database, tmp_path, policy=Policy(every=True))
        house = furnish(read_server_file(tmp_path), [Keywords()])
        with served(create_app(house, shelf, Gate(shelf))) as url:
            for mood in MOODS:
                teacher.mood = mood
                for model, stream in (("large", False), ("large", True), ("desk/triage", False)):
                    call = {"model": model, "messages": prompt("maybe"), "stream": stream, "store": True}
                    with contextlib.suppress(OSError):
                        seen += ask(url, key, "/v1/chat/completions", json.dumps(call).encode())
            for path in ("/metrics", "/healthz", "/v1/models", "/v1/chat/completions", "/v1/models/nobody"):
                seen += ask(url, key, path)
            seen += ask(url, key + "x", "/v1/models")
    assert set(teacher.keys) == {f"Bearer {CANARY}"}, "the teacher gets its own key, and never a caller's"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    kept += kept_bytes(own_database, tmp_path)
    assert b"teacher says" in kept
    everything = seen + kept + noises().encode()
    assert CANARY.encode() not in everything
    assert key.encode() not in everything
    assert key[8:].encode() not in everything


def test_an_unreachable_teacher_is_named_without_its_key(tmp_path, monkeypatch, noises):
    monkeypatch.setenv("TEACHER_KEY", CANARY)
    (tmp_path / "stillhouse.toml").write_text(
        '[teachers.a]\nbase_url = "http://127.0.0.1:9/v1"\nkey_env = "TEACHER_KEY"\nmodels = { large = "x" }\n'
    )
    with served(create_app(furnish(read_server_file(tmp_path), []))) as url:
        body = json.dumps({"model": "large", "messages": prompt("hi")}).encode()
        answer = ask(url, "none", "/v1/chat/completions", body)
    assert b"teacher_unavailable" in answer
    assert CANARY not in answer.decode() + noises()


def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path):
    (tmp_path / "stillhouse.toml").write_text(f'[teachers.a]\nbase_url = "http://h/v1"\nkey_env = "{CANARY}"\n')
    with pytest.raises(UsageError) as caught:
        read_server_file(tmp_path)
    assert CANARY not in str(caught.value)
    (tmp_path / "stillhouse.toml").write_text(f'[teachers.a]\nbase_url = "http://h/v1"\napi_key = "{CANARY}"\n')
    with pytest.raises(UsageError) as caught:
        read_server_file(tmp_path)
    assert CANARY not in str(caught.value)


def test_headers_of_callers_are_not_handed_on(tmp_path):
    upstream = Upstream(remembers=True)
    with served(upstream) as behind:
        (tmp_path / "stillhouse.toml").write_text(f'[teachers.a]\nbase_url = "{behind}"\nmodels = {{ large = "x" }}\n')
        with served(create_app(furnish(read_server_file(tmp_path), []))) as url:
            body = json.dumps({"model": "large", "messages": prompt("hi")}).encode()
            request = urllib.request.Request(f"{url}/v1/chat/completions", body)
            for name in ("Authorization", "Cookie", "X-Api-Key", "OpenAI-Organization"):
                request.add_header(name, CANARY)
            urllib.request.urlopen(request).read()
    assert CANARY not in json.dumps(upstream.headers)
