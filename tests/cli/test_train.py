"""`stillhouse train` at the terminal: every recipe of the library, and how it refuses what it cannot use."""

from __future__ import annotations

import json

import pytest

from stillhouse.recipes.catalogue import recipe_names, recipe_text
from tests.recipes.runs import run
from tests.recipes.tiny_recipes import flags, prepare, task_of

LABELLED = ("offline", "offline_feature")
"""The recipes whose signals must be written first."""


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_library_runs(name, tmp_path):
    path, changes = prepare(name, tmp_path)
    place = (*flags(changes), "--home", tmp_path / "home")
    if name in LABELLED:
        assert run("label", path, *place).code == 0
    done = run("train", path, *place, "--json")
    assert done.code == 0, done.err
    record = done.json
    assert record == json.loads((tmp_path / "out" / "record.json").read_text())
    assert 2 <= record["training"]["steps"] <= 6
    assert record["training"]["best_loss"] == pytest.approx(record["training"]["best_loss"])
    files = set(record["files"])
    assert {"config.json", "model.safetensors", "metrics.jsonl"} <= files
    assert task_of(name) == "image" or "tokenizer.json" in files
    assert task_of(name) != "embedding" or "modules.json" in files


def test_people_see_stages_a_table_and_where_the_student_lies(tmp_path):
    path, changes = prepare("response", tmp_path)
    done = run("train", path, *flags(changes), "--home", tmp_path / "home")
    assert done.code == 0, done.err
    assert "✓ shrink" in done.err
    assert "✓ train" in done.err
    assert "kl_to_teacher" in done.out
    assert "before" in done.out
    assert "teacher" in done.out
    assert f"Student: {tmp_path / 'out'}" in done.out
    again = run("train", path, *flags(changes), "--home", tmp_path / "home")
    assert again.err.count("(done before)") == 2
    fresh = run("train", path, *flags(changes), "--home", tmp_path / "home", "--fresh", "--out", tmp_path / "new")
    assert "(done before)" not in fresh.err
    assert (tmp_path / "new" / "record.json").is_file()


def test_the_library_is_listed_and_shown(tmp_path):
    listed = run("train", "--list")
    assert (listed.code, listed.out.count("\n")) == (0, len(recipe_names()))
    assert "born again" in listed.out.lower()
    assert set(run("train", "--list", "--json").json) == set(recipe_names())
    assert run("train", "--show", "response").out == recipe_text("response")
    assert run("train", "--show", "response", "--json").json["text"] == recipe_text("response")
    done = run("train", "--show", "visoin")
    assert (done.code, "Did you mean 'vision'?" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("training.epoch=3", "recipe.toml: training sets 'epoch', which it does not know. Did you mean 'epochs'?"),
        ("objective.0.name=forwrd_kl", "recipe.toml: objective[0]: name = 'forwrd_kl' is no objective. Did you mean"),
        ("objective.0.settings={temprature=2}", "settings sets 'temprature', which it does not know. Did you mean"),
        ("data.train=/no/such.jsonl", "The data /no/such.jsonl cannot be read"),
        ("teacher.model=/no/such", "'/no/such' cannot be loaded"),
    ],
)
def test_what_is_wrong_is_one_message_and_leaves_nothing(change, told, tmp_path):
    path, changes = prepare("response", tmp_path)
    done = run("train", path, *flags([*changes, change]), "--home", tmp_path / "home", "--json")
    assert (done.code, done.err.count("error:")) == (2, 1)
    assert told in done.err
    assert told in done.json["error"]["message"]
    assert not (tmp_path / "out").exists()


def test_a_dry_run_trains_nothing(tmp_path):
    path, changes = prepare("feature", tmp_path)
    done = run("train", path, *flags(changes), "--home", tmp_path / "home", "--dry-run")
    assert done.code == 0, done.err
    assert "0.6 forward_kl + 0.2 cross_entropy + 0.2 hidden_states" in done.out
    assert "train 17, selection 1, test 1" in done.out
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "home").exists()
    plan = run("train", path, *flags(changes), "--dry-run", "--json").json
    assert (plan["steps"], plan["recipe"]["training"]["patience"]) == (3, 4)


def test_a_recipe_must_be_named(tmp_path):
    done = run("train")
    assert (done.code, "Name a recipe" in done.err) == (2, True)
    done = run("train", tmp_path / "none.toml")
    assert (done.code, "none.toml cannot be read" in done.err) == (2, True)


def test_an_unknown_tracker_is_refused(tmp_path):
    path, changes = prepare("response", tmp_path)
    done = run("train", path, *flags(changes), "--home", tmp_path / "home", "--log", "tensorbord")
    assert (done.code, "no tracker 'tensorbord'" in done.err) == (2, True)
