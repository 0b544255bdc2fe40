"""What a server keeps is written as JSON lines, as the API shows it, and read again by others."""

from __future__ import annotations

import asyncio
import json

import pytest

from stillhouse.cli.main import run
from stillhouse.data.formats import parse_row
from stillhouse.storage.file_records import NewFile
from stillhouse.storage.records import KeptAnswer
from stillhouse.storage.store import Store
from tests.storage.stored import completion


@pytest.fixture
def home(tmp_path, own_database, monkeypatch):
    """A home folder with calls of two projects, a file, and an answer for whoever sends a call again."""
    monkeypatch.setenv("STILLHOUSE_DATABASE", own_database or "")

    async def make() -> None:
        store = await Store.open(own_database, tmp_path / "home")
        await store.completions.add("default", *[completion(number, tag="ü") for number in range(1, 1_002)])
        await store.completions.add("other", completion(5_000))
        await store.files.put("default", NewFile("../evil.txt", "user_data"), [b"some bytes"])
        claim = await store.answers.claim("default", b"a call", None)
        await store.answers.keep(claim, KeptAnswer(200, {}, b"told again"))
        await store.close()

    asyncio.run(make())
    return tmp_path / "home"


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_everything_is_written_as_the_api_shows_it(home, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(["export", "--home", str(home), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["lines"]
    assert told == {
        "completions.jsonl": 1_001,
        "files.jsonl": 1,
        "evals.jsonl": 0,
        "eval_runs.jsonl": 0,
        "eval_output_items.jsonl": 0,
        "jobs.jsonl": 0,
        "job_events.jsonl": 0,
    }
    calls = lines(out / "completions.jsonl")
    assert [call["id"] for call in calls] == [f"chatcmpl-{number:06}" for number in range(1, 1_002)]
    assert calls[0]["metadata"] == {"tag": "ü"}
    assert calls[0]["messages"] == [{"role": "user", "content": "question 1"}]
    [file] = lines(out / "files.jsonl")
    assert (file["filename"], file["bytes"]) == ("../evil.txt", 10)
    assert (out / "files" / file["id"]).read_bytes() == b"some bytes"
    assert sorted(path.name for path in out.iterdir()) == sorted([*told, "files"])


def test_what_is_kept_for_calls_that_are_sent_again_stays(home, tmp_path):
    assert run(["export", "--home", str(home), "--out", str(tmp_path / "out")]) == 0
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) == 8
    assert not any(b"told again" in path.read_bytes() for path in written)


def test_what_was_exported_is_traffic(home, tmp_path):
    assert run(["export", "--home", str(home), "--out", str(tmp_path), "--what", "completions"]) == 0
    row = parse_row((tmp_path / "completions.jsonl").read_bytes().splitlines()[0], "a", 1)
    assert (row.messages[0].content, row.answer) == ("question 1", "answer 1")


def test_each_project_has_its_own(home, tmp_path, capsys):
    options = ["--what", "completions", "--project", "other"]
    assert run(["export", "--home", str(home), "--out", str(tmp_path / "out"), *options]) == 0
    assert [call["id"] for call in lines(tmp_path / "out" / "completions.jsonl")] == ["chatcmpl-005000"]
    assert "completions.jsonl: 1 lines" in capsys.readouterr().out.replace("\n", "")


def test_where_there_is_nothing_nothing_is_made(tmp_path, capsys):
    assert run(["export", "--home", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "nothing to export" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
