"""`stillhouse data`: a group of verbs; each says what it is for, and what none of them is, is refused."""

from __future__ import annotations

import json

import pytest

from stillhouse.cli.data import data
from stillhouse.cli.main import load, run


def test_it_names_its_verbs(capsys):
    assert run(["data", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in ("import", "list", "show", "filter", "split", "diff", "lineage", "delete"))


def test_without_a_verb_it_shows_them_and_is_wrong_use(capsys):
    assert run(["data"]) == 2
    captured = capsys.readouterr()
    assert "import" in captured.out
    assert "It needs a verb" in captured.err


def test_a_verb_that_there_is_not_names_the_nearest(capsys):
    assert run(["data", "shw"]) == 2
    assert "show" in capsys.readouterr().err


def test_an_error_is_an_object_where_json_is_asked_for(tmp_path, capsys):
    assert run(["data", "show", "support", "--home", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "UsageError"


@pytest.mark.parametrize("verb", load("data").commands)
def test_every_verb_teaches_with_an_example(verb):
    assert f"stillhouse data {verb}" in " ".join((load("data").commands[verb].help or "").split())


def test_no_verb_is_there_twice():
    names = [command.name for command in data.registered_commands]
    assert len(names) == len(set(names))
