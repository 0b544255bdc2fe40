"""The unmodified `openai` clients, new and old, call a served student in every way."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import Keywords, prompt, served

ROOT = Path(__file__).resolve().parents[2]
OLD = ("2.54.0", "1.109.1")
ANSWER = '{"intent": "other 🙂", "priority": "high"}'


def python_with(old: str) -> Path:
    """An interpreter with an old client, installed once and kept."""
    folder = ROOT / f".venv-openai-{old}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / ".installed"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run beside this one want it too
        _install(old, folder, python, done)
    return python


def _install(old: str, folder: Path, python: Path, done: Path) -> None:
    if not done.is_file():
        venv.create(folder, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"openai=={old}"]
        pip = subprocess.run(command, capture_output=True, text=True, timeout=240)
        if pip.returncode:
            pytest.skip(f"openai {old} cannot be installed: {pip.stderr.strip().splitlines()[-1]}")
        done.touch()


ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""Old clients say what new ones say, at some seconds each: one that speaks to PostgreSQL too is enough."""


@pytest.fixture(scope="module")
def url(database, tmp_path_factory):
    shelf = Shelf(database, tmp_path_factory.mktemp("home"))
    with served(create_app(House.of([Keywords()]), shelf=shelf)) as url:
        yield url


def called_with(python: Path | str, url: str) -> dict:
    """What a client in another interpreter saw."""
    script = Path(__file__).with_name("sdk_calls.py")
    arguments = [f"{url}/v1", "desk/triage", json.dumps(prompt("do it now"))]
    run = subprocess.run([python, "-I", script, *arguments], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def check(seen: dict) -> None:
    assert seen["plain"] == seen["streamed"] == seen["assembled"] == ANSWER
    assert seen["copies"] == [ANSWER] * 3
    assert seen["asynchronous"] == [ANSWER] * 2
    assert seen["finish_reason"] == "stop"
    assert seen["total_tokens"] == seen["stream_usage"] == 3 + 5
    tokens, logprobs, alternatives = zip(*seen["tokens"], strict=True)
    assert list(tokens) == seen["assembled_tokens"] == ['{"intent": ', '"other 🙂"', ', "priority": ', '"high"', "}"]
    assert logprobs == pytest.approx([0, -0.0513, 0, -0.0513, 0], abs=1e-4)
    assert alternatives == (1, 2, 1, 2, 1)
    assert seen["models"] == ["desk/triage"]
    assert seen["model"] == "desk/triage"
    code, param, request_id = seen["missing"]
    assert (code, param) == ("model_not_found", "model")
    assert request_id.startswith("req_")
    assert seen["stored"] == {
        "made_are_listed": True,
        "contents": [ANSWER] * 4,
        "changed": True,
        "found": True,
        "asked": [[message["role"], message["content"]] for message in prompt("do it now")],
        "deleted": [True, True],
        "gone": ["not_found", "completion_id"],
    }


def test_the_newest_client(url):
    seen = called_with(sys.executable, url)
    assert int(seen["version"].split(".")[0]) >= 3
    check(seen)


@ON_SQLITE
@pytest.mark.parametrize("old", OLD)
def test_an_old_client(old, url):
    seen = called_with(python_with(old), url)
    assert seen["version"] == old
    check(seen)
