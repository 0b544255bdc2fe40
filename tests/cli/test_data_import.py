"""`stillhouse data import`: files and calls become versions; bad rows stop it, or are kept beside."""

from __future__ import annotations

import asyncio
import json

import pytest

from stillhouse.storage.store import Store
from tests.cli.datasets_for_tests import ROWS, told, told_json, write
from tests.data.importers.reading import picture
from tests.data.test_calls import call

__all__ = ["told", "told_json"]


@pytest.fixture
def broken(tmp_path):
    file = tmp_path / "broken.jsonl"
    write(file, ROWS[:3])
    file.write_text(file.read_text() + "not json\n")
    return str(file)


def test_the_same_files_are_the_same_version(told_json, tmp_path):
    again = told_json("import", str(tmp_path / "calls.jsonl"), "--name", "support", "--format", "openai")
    assert (again["reference"], again["items"], again["step"]["counts"]) == ("support@1", 60, {"kept": 60})
    other = told_json("import", str(tmp_path / "calls.jsonl"), "--name", "other", "--format", "openai")
    assert (other["reference"], other["hash"]) == ("other@1", again["hash"])


def test_several_files_and_what_is_there_are_put_together(told_json, tmp_path):
    write(tmp_path / "more.jsonl", ROWS[:7])
    added = told_json("import", str(tmp_path / "more.jsonl"), "--name", "support", "--format", "openai", "--add")
    assert (added["reference"], added["items"], added["step"]["parents"]) == (
        "support@2",
        67,
        ["support@1", "more.jsonl"],
    )
    both = [str(tmp_path / name) for name in ("calls.jsonl", "more.jsonl")]
    assert told_json("import", *both, "--name", "both", "--format", "openai")["items"] == 67


def test_a_bad_row_stops_it_and_nothing_is_kept(told, broken, tmp_path):
    code, words = told("import", broken, "--name", "support", "--format", "openai")
    assert code == 1
    assert "broken.jsonl, line 4" in words
    assert "--skip-bad-rows" in words
    assert [path for path in (tmp_path / "home/datasets").rglob("*") if path.is_file()] == []


def test_bad_rows_are_counted_and_kept_beside(told_json, broken, tmp_path):
    made = told_json("import", broken, "--name", "some", "--format", "openai", "--skip-bad-rows")
    assert made["items"] == made["step"]["counts"]["kept"] == 3
    assert sum(made["step"]["counts"].values()) == 4
    [kept] = (tmp_path / "home/datasets/default/some/1/bad_rows.jsonl").read_text().splitlines()
    assert (json.loads(kept)["line"], json.loads(kept)["row"]) == (4, "not json")


def test_people_are_told_where_they_lie(told, broken, tmp_path):
    words = told("import", broken, "--name", "some", "--format", "openai", "--skip-bad-rows")[1]
    assert f"Rows that cannot be used: {tmp_path / 'home/datasets/default/some/1/bad_rows.jsonl'}" in words


def test_a_file_without_one_row_that_can_be_used_is_no_dataset(told, tmp_path):
    (tmp_path / "odd.csv").write_text("hello there,1\nbye,2\n")
    code, words = told("import", str(tmp_path / "odd.csv"), "--name", "odd", "--format", "csv", "--skip-bad-rows")
    assert code == 1
    assert "Nothing is imported" in words
    assert "--column text=NAME" in words
    assert [path for path in (tmp_path / "home/datasets").rglob("*") if path.is_file()] == []


def test_no_picture_stays_of_a_folder_that_was_refused(told, told_json, tmp_path):
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    (tmp_path / "pets" / "cat" / "a.png").write_bytes(picture())
    (tmp_path / "pets" / "cat" / "b.png").write_text("no picture")
    assert told("import", str(tmp_path / "pets"), "--name", "pets")[0] == 1
    kept = [path for path in (tmp_path / "home" / "blobs").rglob("*") if len(path.name) == 64]
    assert kept == []
    assert told_json("import", str(tmp_path / "pets"), "--name", "pets", "--skip-bad-rows")["items"] == 1
    assert told("import", str(tmp_path / "pets"), "--name", "again")[0] == 1
    assert told("export", "pets", "--format", "images", "--out", str(tmp_path / "out"))[0] == 0
    assert (tmp_path / "out" / "cat" / "a.png").read_bytes() == picture()


def test_calls_of_a_server_are_chosen(told_json, tmp_path):
    async def keep():
        store = await Store.open(None, tmp_path / "home")
        await store.completions.add("default", *[call(number, model=f"m{number % 2}") for number in range(30)])
        await store.close()

    asyncio.run(keep())
    chosen = ["--model", "m1", "--where", "team=billing", "--since", "1000010", "--until", "1000020"]
    assert told_json("import", "--from-server", "--name", "all")["items"] == 30
    made = told_json("import", "--from-server", "--model", "m1", "--where", "team=billing", "--name", "calls")
    assert made["items"] == 15
    settings = made["step"]["settings"]
    assert (settings["calls"], settings["first"], settings["model"]) == (15, "chatcmpl-0001", "m1")
    assert told_json("show", "calls", "--rows", "1")["shown"][0]["source"]["origin"] == "chatcmpl-0001"
    with pytest.raises(AssertionError, match="no such calls"):
        told_json("import", "--from-server", *chosen, "--name", "none")

    async def read():
        store = await Store.open(None, tmp_path / "home")
        found = [each.event async for each in store.audit.entries()]
        await store.close()
        return [(each.action, each.object, each.details) for each in found]

    assert asyncio.run(read()) == [
        ("completions.read", "all@1", {"number": 30}),
        ("completions.read", "calls@1", {"number": 15}),
    ]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (["--name", "a"], "--from-server"),
        (["{file}", "--from-server", "--name", "a"], "--from-server"),
        (["{file}"], "--name"),
        (["{file}", "--name", "A b"], "lower-case"),
        (["{file}", "--name", "a", "--model", "m"], "stillhouse data filter"),
        (["{file}", "--name", "a", "--format", "opnai"], "openai"),
        (["{file}", "--name", "a", "--column", "text"], "meaning=name"),
        (["nowhere.jsonl", "--name", "a"], "nowhere.jsonl"),
    ],
    ids=str,
)
def test_wrong_use_says_what_to_do(wrong, hint, told, tmp_path):
    write(tmp_path / "a.jsonl", ROWS[:2])
    code, words = told("import", *[word.format(file=tmp_path / "a.jsonl") for word in wrong])
    assert code == 2
    assert hint in " ".join(words.split())


def test_the_format_is_found_out(told_json, tmp_path):
    (tmp_path / "table.csv").write_text("text,label\nwhere is it,delivery\nmoney back,refund\n")
    made = told_json("import", str(tmp_path / "table.csv"), str(tmp_path / "calls.jsonl"), "--name", "mixed")
    assert [file["format"] for file in made["step"]["settings"]["files"]] == ["csv", "openai"]
    assert made["items"] == 62
    assert told_json("filter", "mixed", "--label", "refund")["found"] == 1


def test_columns_of_other_names_are_named(told_json, tmp_path):
    (tmp_path / "table.csv").write_text("Body,Team\nwhere is it,delivery\n")
    named = ["--column", "text=Body", "--column", "label=Team"]
    made = told_json("import", str(tmp_path / "table.csv"), "--name", "named", *named)
    assert made["step"]["settings"]["columns"] == {"text": "Body", "label": "Team"}
    assert told_json("filter", "named", "--label", "delivery", "--match", "where")["found"] == 1


def test_formats_are_listed(told):
    assert "openai" in told("import", "--format", "help")[1]
