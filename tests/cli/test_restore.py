"""`stillhouse restore`: a backup checked from the terminal, and what is wrong said in one message."""

from __future__ import annotations

import asyncio
import json

import pytest

from stillhouse.cli.main import run
from stillhouse.storage.backup import backup
from stillhouse.storage.store import Store
from tests.storage.databases import database_option
from tests.storage.stored import completion


@pytest.fixture
def file(own_database, tmp_path):
    """A backup of a home folder with one call."""

    async def make() -> None:
        store = await Store.open(own_database, tmp_path / "old")
        await store.completions.add("p", completion(1))
        await backup(store, tmp_path / "old", tmp_path / "b.tar")
        await store.close()

    asyncio.run(make())
    return tmp_path / "b.tar"


def test_checking_touches_nothing(file, tmp_path, capsys):
    assert run(["restore", str(file), "--verify", "--home", str(tmp_path / "new"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verified"], told["restored"], told["rows"]["completions"]) == (True, False, 1)
    assert not (tmp_path / "new").exists()
    assert run(["restore", str(file), "--verify"]) == 0
    assert "is whole" in " ".join(capsys.readouterr().out.split())


def test_what_is_there_is_replaced_only_when_asked(file, own_database, tmp_path, capsys):
    place = ["--home", str(tmp_path / "old"), *database_option(own_database)]
    assert run(["restore", str(file), *place]) == 2
    assert "--force" in capsys.readouterr().err
    assert run(["restore", str(file), *place, "--force"]) == 0
    assert "restored to" in " ".join(capsys.readouterr().out.split())


def test_the_environment_may_name_the_database(file, own_database, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_DATABASE", own_database or f"sqlite:///{tmp_path / 'old' / 'stillhouse.db'}")
    assert run(["restore", str(file), "--home", str(tmp_path / "new")]) == 2, "what is there already is not touched"
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("change", "options", "code", "words"),
    [
        (None, ["--verify", "--force"], 2, "Leave one out"),
        (lambda data: data[:1_000], ["--verify"], 1, "no whole archive"),
        (lambda data: data.replace(b"chatcmpl-000001", b"chatcmpl-000002"), [], 1, "damaged"),
    ],
)
def test_what_is_wrong_is_said(file, tmp_path, capsys, change, options, code, words):
    if change:
        file.write_bytes(change(file.read_bytes()))
    assert run(["restore", str(file), "--home", str(tmp_path / "new"), *options]) == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "new").exists()


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert run(["restore", str(tmp_path / "none.tar"), "--verify"]) == 2
    assert "There is no file" in capsys.readouterr().err
