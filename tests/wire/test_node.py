"""The unmodified Node client calls a served student, lists what was stored, and keeps files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import Keywords, prompt, served

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("node")
ANSWER = '{"intent": "other 🙂", "priority": "high"}'
ROWS = '{"number": 1}\n{"number": 2}\n'


@pytest.fixture(scope="module")
def folder() -> Path:
    """Where the pinned client is installed, once: beside other things that are built."""
    npm = shutil.which("npm")
    if not (npm and shutil.which("node")):
        pytest.skip("needs Node 20 or newer with npm")
    built = ROOT / "build" / "node"
    lock, done = SOURCE / "package-lock.json", built / "installed-lock.json"
    if not (done.is_file() and done.read_bytes() == lock.read_bytes()):
        built.mkdir(parents=True, exist_ok=True)
        for file in (SOURCE / "package.json", lock):
            shutil.copy(file, built)
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        run = subprocess.run(command, cwd=built, capture_output=True, text=True, timeout=240)
        if run.returncode:
            pytest.skip(f"the Node client cannot be installed: {(run.stderr.strip().splitlines() or ['?'])[-1]}")
        shutil.copy(lock, done)
    shutil.copy(SOURCE / "calls.mjs", built)
    return built


@pytest.fixture(scope="module")
def seen(folder, tmp_path_factory) -> dict:
    """What the client saw."""
    app = create_app(House.of([Keywords()]), Shelf(None, tmp_path_factory.mktemp("home")))
    with served(app) as url:
        arguments = [f"{url}/v1", "desk/triage", json.dumps(prompt("do it now"))]
        command = ["node", "calls.mjs", *arguments]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_it_is_the_pinned_client(seen):
    assert seen["version"] == json.loads((SOURCE / "package.json").read_text())["dependencies"]["openai"]


def test_chat_plain_and_streamed(seen):
    chat = seen["chat"]
    assert chat["plain"] == chat["streamed"] == chat["assembled"] == ANSWER
    assert chat["total"] == chat["streamedTotal"] == 3 + 5
    assert chat["models"] == [chat["model"]] == ["desk/triage"]
    assert chat["missing"] == ["NotFoundError", 404, "model_not_found", "model", "req_"]


def test_stored_completions(seen):
    assert seen["stored"] == {
        "listed": True,
        "filtered": True,
        "updated": {"sdk": "node", "new": "yes"},
        "asked": [[message["role"], message["content"]] for message in prompt("do it now")],
        "deleted": [True, True],
        "gone": ["NotFoundError", 404, "not_found", "completion_id", "req_"],
        "contents": [ANSWER] * 3,
    }


def test_files(seen):
    assert seen["files"] == {
        "streamed": ["rows.jsonl", len(ROWS), "fine-tune", "processed"],
        "named": ["Übung.jsonl", 3_600],
        "content": ROWS,
        "listed": ["rows.jsonl", "Übung.jsonl"],
        "wrong": ["BadRequestError", 400, None, "purpose", "req_"],
        "uploaded": ["completed", ROWS],
        "deleted": [True, True],
        "gone": ["NotFoundError", 404, None, "id", "req_"],
    }
