"""The unmodified Node client calls a served student, lists what was stored, and keeps files."""

from __future__ import annotations

import json

import pytest

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import Keywords, prompt, served
from tests.wire.node_client import SOURCE, seen_by_node

ANSWER = '{"intent": "other 🙂", "priority": "high"}'
ROWS = '{"number": 1}\n{"number": 2}\n'


@pytest.fixture(scope="module")
def seen(database, tmp_path_factory) -> dict:
    """What the client saw."""
    app = create_app(House.of([Keywords()]), Shelf(database, tmp_path_factory.mktemp("home")))
    with served(app) as url:
        return seen_by_node("calls.mjs", f"{url}/v1", "desk/triage", json.dumps(prompt("do it now")))


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
