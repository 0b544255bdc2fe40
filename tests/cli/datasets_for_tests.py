"""A home folder with datasets, and `stillhouse data` called on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stillhouse.cli.main import run

__all__ = ["ROWS", "told", "told_json"]

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"{'please refund' if row % 2 else 'where is'} parcel {row * 7919} of mine"},
            {"role": "assistant", "content": "refund" if row % 2 else "delivery"},
        ],
        "metadata": {"team": f"t{row % 3}", "user_id": f"u{row % 5}"},
        "model": f"m{row % 2}",
        "created": 1_000_000 + row,
    }
    for row in range(60)
]

Told = Callable[..., tuple[int, str]]
ToldJson = Callable[..., dict[str, Any]]


@pytest.fixture
def told(tmp_path, capsys) -> Told:
    """Runs `stillhouse data` on a home folder; gives its exit code and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        code = run(["data", *arguments, "--home", str(tmp_path / "home")])
        captured = capsys.readouterr()
        return code, captured.out if code == 0 else captured.err

    return call


@pytest.fixture
def told_json(told, tmp_path) -> ToldJson:
    """The same with the dataset `support@1` there, and the object that it prints."""
    file = tmp_path / "calls.jsonl"
    write(file, ROWS)
    assert told("import", str(file), "--name", "support", "--format", "openai")[0] == 0

    def call(*arguments: str) -> dict[str, Any]:
        code, printed = told(*arguments, "--json")
        assert code == 0, printed
        return json.loads(printed)

    return call


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
