"""`name@3` on the command line: where a verb takes files, a version of a dataset will do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stillhouse.cli.data_home import with_catalogue
from stillhouse.cli.datasets import note_uses, opened, opened_section
from stillhouse.cli.main import run
from stillhouse.errors import UsageError
from stillhouse.recipes.sections import DataSection
from tests.cli.datasets_for_tests import told, told_json

__all__ = ["told", "told_json"]


def test_files_stay_and_versions_become_files(told_json, tmp_path):
    home, file = tmp_path / "home", tmp_path / "calls.jsonl"
    rows = opened([file, Path("support@1")], home)
    assert rows[0] == file
    assert len(rows[1].read_text().splitlines()) == 60
    section = opened_section(DataSection(train=Path("support@1"), test=file), home)
    assert (section.train, section.selection, section.test) == (rows[1], None, file)
    with pytest.raises(UsageError, match="support@2"):
        opened([Path("support@2")], home)


def test_a_dataset_without_its_version_is_told_how_to_be_named(tmp_path):
    with pytest.raises(UsageError, match="such as support@1"):
        opened([Path("support")], tmp_path / "home")
    (tmp_path / "calls").mkdir()
    assert opened([tmp_path / "calls", tmp_path / "gone"], tmp_path / "home") == [tmp_path / "calls", tmp_path / "gone"]
    assert not (tmp_path / "home").exists()


def test_no_database_is_made_for_files_alone(tmp_path):
    assert opened([tmp_path / "a.jsonl"], tmp_path / "home") == [tmp_path / "a.jsonl"]
    note_uses([tmp_path / "a.jsonl", None], "bundle", tmp_path, tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_what_learnt_from_a_version_is_in_its_lineage(told_json, tmp_path):
    [rows] = opened([Path("support@1")], tmp_path / "home")
    note_uses([rows, None], "bundle", tmp_path / "student", tmp_path / "home")
    [use] = told_json("lineage", "support")["uses"]
    assert (use["version"], use["kind"], use["user"]) == ("support@1", "bundle", str(tmp_path / "student"))


def test_distill_understands_a_version(told_json, tmp_path, capsys):
    home = str(tmp_path / "home")
    assert run(["distill", "support@1", "--out", str(tmp_path / "student"), "--home", home, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["rows"]["read"] == 60
    assert run(["distill", "support@7", "--out", str(tmp_path / "student"), "--home", home, "--dry-run"]) == 2
    assert "support@1" in capsys.readouterr().err


def test_a_recipe_names_a_version(told_json, tmp_path, capsys):
    recipe = tmp_path / "my.toml"
    recipe.write_text(
        'task = "classification"\nout = "student"\n[student]\nmodel = "minilm"\n[data]\ntrain = "support@1"\n'
        '[source]\nkind = "offline"\n[[objective]]\nname = "cross_entropy"\n'
    )
    from stillhouse.cli.train import read_recipe

    chosen = read_recipe(recipe, [], tmp_path / "home")
    assert chosen.data.train.name == "rows.jsonl"
    with_catalogue(("default", tmp_path / "home", None), lambda catalogue, store: catalogue.find("support@1"))
