"""The unmodified `openai` clients, new and old, keep files and send them in parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import Keywords, served
from tests.wire.sdk_files import ROWS
from tests.wire.test_sdks import OLD, ON_SQLITE, python_with

TEXT = ROWS.decode()
SEEN = {
    "made": ["Übung.jsonl", len(ROWS), "fine-tune", "processed"],
    "processed": True,
    "content": TEXT,
    "listed": ["n0", "n1", "n2"],
    "lasts": 3_600,
    "wrong": ["purpose", None, "req_"],
    "deleted": [True, True],
    "gone": ["id", None],
    "uploaded": {"statuses": ["pending", "completed", "cancelled"], "content": TEXT, "chunked": TEXT},
    "asynchronous": [TEXT, True],
}


@pytest.fixture(scope="module")
def url(database, tmp_path_factory):
    with served(create_app(House.of([Keywords()]), Shelf(database, tmp_path_factory.mktemp("home")))) as url:
        yield url


def called_with(python: Path | str, url: str) -> dict:
    script = Path(__file__).with_name("sdk_files.py")
    run = subprocess.run([python, "-I", script, f"{url}/v1"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_newest_client(url):
    seen = called_with(sys.executable, url)
    assert seen.pop("version").split(".")[0] >= "3"
    assert seen == SEEN


@ON_SQLITE
@pytest.mark.parametrize("old", OLD)
def test_an_old_client(old, url):
    assert called_with(python_with(old), url) == {"version": old, **SEEN}
