"""`stillhouse backup`: one file with everything, made from the terminal while a server runs."""

from __future__ import annotations

import json

import pytest
from openai import OpenAI

from stillhouse.cli.main import run
from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf
from tests.gateway.serving import Keywords, prompt, served
from tests.storage.databases import database_option


@pytest.fixture
def home(own_database, tmp_path):
    """The home folder of a server that runs, with two stored calls and a file."""
    home = tmp_path / "home"
    app = create_app(House.of([Keywords()]), Shelf(own_database, home))
    with served(app) as url, OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        for _ in range(2):
            sdk.chat.completions.create(model="desk/triage", messages=prompt("refund"), store=True)
        sdk.files.create(file=b"some bytes", purpose="user_data")
        yield home


def test_a_server_is_backed_up_while_it_runs_and_restored_elsewhere(home, own_database, tmp_path, capsys):
    file, new = tmp_path / "b.tar.gz", tmp_path / "new"
    assert run(["backup", str(file), "--home", str(home), *database_option(own_database), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["blobs"], told["rows"]["completions"]) == (str(file), 1, 2)
    assert told["bytes"] == file.stat().st_size
    assert run(["restore", str(file), "--home", str(new), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == told["rows"]
    app = create_app(House.of([Keywords()]), Shelf(None, new))
    with served(app) as url, OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        assert len(list(sdk.chat.completions.list())) == 2
        [kept] = sdk.files.list()
        assert sdk.files.content(kept.id).read() == b"some bytes"


def test_people_are_told_in_a_line_and_the_environment_may_name_the_database(
    home, own_database, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("STILLHOUSE_DATABASE", own_database or "")
    assert run(["backup", str(tmp_path / "b.tar"), "--home", str(home)]) == 0
    assert "the bytes of 1 files" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("options", [[], ["--database", "sqlite:///nowhere.db"]])
def test_where_there_is_nothing_nothing_is_made(tmp_path, capsys, options):
    assert run(["backup", str(tmp_path / "b.tar"), "--home", str(tmp_path / "none"), *options]) == 2
    assert "nothing to back up" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []
