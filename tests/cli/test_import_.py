"""`stillhouse import`: what was exported elsewhere is there, once, and what cannot be used is named."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from stillhouse.cli.main import run
from stillhouse.storage.records import Cut, Wanted
from stillhouse.storage.store import Store
from tests.storage.databases import database_option


def exported(number: int, **changes) -> dict:
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000 + number,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": f"a{number}"}, "finish_reason": "stop"}],
        "metadata": {"n": str(number)},
        "messages": [{"role": "user", "content": f"q{number}"}],
        **changes,
    }


@pytest.fixture
def place(own_database, tmp_path) -> list[str]:
    """The options that name a home folder, and a database of each kind."""
    return ["--home", str(tmp_path / "home"), *database_option(own_database)]


@pytest.fixture
def told(place, capsys):
    """Runs the verb there; gives its exit code and its JSON, or its words when it failed."""

    def call(*arguments: str):
        code = run(["import", *arguments, *place, "--json"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if code == 0 else " ".join(captured.err.split())

    return call


def lines(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def in_store(own_database, tmp_path):
    """What a function does with the store there."""

    def outside(work):
        async def run():
            store = await Store.open(own_database, tmp_path / "home")
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(run())

    return outside


def test_stored_calls_are_there_once(told, in_store, tmp_path):
    file = lines(tmp_path / "a.jsonl", [exported(number) for number in range(1_203)])
    assert told("openai-stored", file) == (0, {"imported": 1_203, "known": 0, "bad_rows": 0})
    assert told("openai-stored", file) == (0, {"imported": 0, "known": 1_203, "bad_rows": 0})

    async def look(store):
        page = await store.completions.page("default", Wanted("gpt-4o-mini", {"n": "7"}), Cut())
        return page.rows, await store.completions.get("default", "chatcmpl-7")

    [row], whole = in_store(look)
    assert (row.id, row.created, row.route) == ("chatcmpl-7", 1_700_000_007, "imported")
    assert json.loads(whole.messages) == [{"role": "user", "content": "q7"}]


def test_what_was_deleted_here_does_not_come_back(told, in_store, tmp_path):
    file = lines(tmp_path / "a.jsonl", [exported(1), exported(2), exported(2)])
    assert told("openai-stored", file)[1] == {"imported": 2, "known": 1, "bad_rows": 0}
    in_store(lambda store: store.completions.delete("default", "chatcmpl-1"))
    assert told("openai-stored", file)[1] == {"imported": 0, "known": 3, "bad_rows": 0}


def test_a_bad_row_is_named_and_nothing_taken_over_unless_it_may_be_left_out(told, tmp_path):
    file = lines(tmp_path / "a.jsonl", [exported(1), exported(2, messages=None), exported(3)])
    code, words = told("openai-stored", file)
    assert code == 1
    assert "a.jsonl, line 2: It lacks 'messages'" in words
    assert told("openai-stored", file, "--skip-bad-rows")[1] == {"imported": 2, "known": 0, "bad_rows": 1}


def test_an_export_of_ours_is_taken_over_by_another(told, place, tmp_path, capsys):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(exported(1)).encode()))
    assert told("openai-stored", str(tmp_path / "a.jsonl.gz"))[1]["imported"] == 1
    assert run(["export", *place, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    options = ["--home", str(tmp_path / "second"), "--json"]
    assert run(["import", "openai-stored", str(tmp_path / "out" / "completions.jsonl"), *options]) == 0
    assert run(["export", "--home", str(tmp_path / "second"), "--out", str(tmp_path / "again")]) == 0
    one, two = [(tmp_path / name / "completions.jsonl").read_bytes() for name in ("out", "again")]
    assert one == two


GRADER = {
    "id": "same-1",
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "operation": "eq",
    "reference": "{{item.answer}}",
}
EVAL = {
    "object": "eval",
    "id": "eval_1",
    "name": "capitals",
    "created_at": 5,
    "data_source_config": {"type": "custom", "schema": {"properties": {"item": {"type": "object"}, "sample": {}}}},
    "testing_criteria": [GRADER],
    "metadata": {"from": "there"},
}


def test_evals_keep_their_ids(told, in_store, tmp_path):
    file = lines(tmp_path / "evals.jsonl", [EVAL])
    assert told("openai-evals", file) == (0, {"imported": 1, "known": 0, "bad_rows": 0})
    assert told("openai-evals", file) == (0, {"imported": 0, "known": 1, "bad_rows": 0})
    kept = in_store(lambda store: store.evals.get("default", "eval_1"))
    assert (kept.name, kept.created, kept.metadata) == ("capitals", 5, {"from": "there"})
    bad = lines(tmp_path / "bad.jsonl", [EVAL, {"id": "eval_2"}])
    assert "bad.jsonl, line 2" in told("openai-evals", bad)[1]


def test_promptfoo_becomes_evals_with_their_rows(told, in_store, tmp_path):
    file = tmp_path / "promptfooconfig.yaml"
    file.write_text(
        "prompts: ['Capital of {{country}}?']\nproviders: [openai:student]\ntests:\n"
        "  - vars: {country: France}\n    assert: [{type: equals, value: Paris}]\n"
        "  - vars: {country: Italy}\n    assert: [{type: equals, value: Rome}]\n"
    )
    code, result = told("promptfoo", str(file))
    assert (code, result["imported"]) == (0, 1)
    [made] = result["evals"]
    assert made["rows"] == 2
    assert made["runs"][0]["data_source"]["source"] == {"type": "file_id", "id": made["file"]}
    assert told("promptfoo", str(file))[1]["known"] == 1

    async def look(store):
        rows = await store.files.get("default", made["file"])
        with await store.files.open(rows) as content:
            return content.read(), await store.evals.get("default", made["id"])

    content, kept = in_store(look)
    assert json.loads(content.splitlines()[0])["item"] == {"country": "France", "expected_1": "Paris"}
    assert kept.name == "promptfooconfig"


def test_the_environment_may_name_the_database(told, own_database, tmp_path, capsys, monkeypatch):
    file = lines(tmp_path / "a.jsonl", [exported(1)])
    assert told("openai-stored", file)[1]["imported"] == 1
    monkeypatch.setenv("STILLHOUSE_DATABASE", own_database or f"sqlite:///{tmp_path / 'home' / 'stillhouse.db'}")
    assert run(["import", "openai-stored", file, "--home", str(tmp_path / "elsewhere"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["known"] == 1


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["openai-stored", "none.jsonl"], "There is no file"), (["else", "none.jsonl"], "else")],
)
def test_wrong_use_is_said(told, arguments, words):
    code, said = told(*arguments)
    assert (code, words in said) == (2, True), said
