"""The unmodified `openai` clients, new and old, go through the published workflows of evals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.evaluating import hands, world
from tests.wire.test_sdks import OLD, ON_SQLITE, python_with


@pytest.fixture(scope="module")
def url(database, tmp_path_factory):
    with world(tmp_path_factory.mktemp("home"), database) as where, hands(where):
        yield where.base_url


def called_with(python: Path | str, url: str) -> dict:
    """What a client in another interpreter saw."""
    script = Path(__file__).with_name("eval_calls.py")
    run = subprocess.run([python, "-I", script, url], capture_output=True, text=True, timeout=400)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def check(seen: dict) -> None:
    assert seen["regression"] == {
        "ends": [["completed", 2, 2, 0, 0], ["completed", 2, 0, 2, 0]],
        "report": True,
        "listed": True,
        "changed": ["renamed", {"a": "b"}],
        "gone": [True, True],
    }
    for kind, output in (("json", ['{"symbols": ["alpha", "beta"]}', '{"symbols": ["gamma"]}']), ("tools", [None] * 2)):
        told = seen["structured"][kind]
        assert told["end"] == ["completed", 2, 2, 0, 0]
        assert told["output"] == output
        assert told["scores"] == [4.0, 3.0]
        assert told["said"] == 4.0
        assert told["usage"] == ["echoes-2026-01-01", "judge-2026-01-01"]
    assert {name: told for name, told in seen["bulk"].items() if told[2]} == {
        "shouts: {{item.q}}": ["completed", 10, 10, 0, 0]
    }
    assert len(seen["bulk"]) == 6
    assert seen["monitoring"] == {
        "v1": ["completed", 2, 2, 0, 0],
        "v2": ["completed", 1, 0, 1, 0],
        "anew": ["completed", 3, 2, 1, 0],
        "said": ["FIRST ONE HERE", "SECOND", "THIRD ONE IS HERE"],
    }
    assert seen["cancelled"] == ["canceled", True]
    assert seen["missing"] == ["not_found", "eval_id"]


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
