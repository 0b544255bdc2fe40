"""Whole runs: stages that are not done twice, what depends on what, and the folder that is left."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from stillhouse.artifacts import hash_file
from stillhouse.errors import UsageError
from stillhouse.recipes.run_training import RunOptions, assist_training, filled, plan_training, run_training
from stillhouse.recipes.training import read_train_recipe
from stillhouse.training.distributed import launch
from stillhouse.training.events import StageDone, silent
from tests.recipes.tiny_recipes import flags, prepare


def small(folder, name="offline", *changes):
    path, small_changes = prepare(name, folder)
    return read_train_recipe(path, [*small_changes, *changes])


def stages(recipe, options):
    """What was done, and what was done before."""
    found = {}
    finished = run_training(
        recipe,
        "my.toml",
        options,
        lambda event: found.update({event.stage: event.skipped}) if isinstance(event, StageDone) else None,
    )
    return found, finished


def test_stages_on_which_nothing_changed_are_not_done_again(tmp_path):
    options = RunOptions(tmp_path / "home", evaluate=True, command="stillhouse run my.toml")
    cut = ("student.layers=2",)
    done, finished = stages(small(tmp_path, "offline", *cut), options)
    assert done == dict.fromkeys(("label", "shrink", "train", "evaluate"), False)
    again, same = stages(small(tmp_path, "offline", *cut, f"out={tmp_path / 'other'}"), options)
    assert again == dict.fromkeys(("label", "shrink", "train", "evaluate"), True)
    assert finished.record["files"] == same.record["files"]
    assert (tmp_path / "other" / "metrics.jsonl").is_file()
    harder, _ = stages(small(tmp_path, "offline", *cut, "training.rate=0.01"), options)
    assert harder == {"label": True, "shrink": True, "train": False, "evaluate": False}
    thinner, _ = stages(small(tmp_path, "offline", "student.layers=1"), options)
    assert thinner == {"label": True, "shrink": False, "train": False, "evaluate": False}
    narrow = ("student.layers=2", "student.ffn=24")
    for expected in (False, True):
        narrower, _ = stages(small(tmp_path, "offline", *narrow), options)
        assert narrower["shrink"] is expected
    seen, _ = stages(small(tmp_path, "offline", *narrow, "data.tokens=16"), options)
    assert seen["shrink"] is False, "other rows say what is kept"
    other, _ = stages(small(tmp_path, "offline", *cut, "teacher.keep=topk:5"), options)
    assert other == {"label": False, "shrink": True, "train": False, "evaluate": False}


def test_the_folder_is_what_transformers_opens_and_its_record_says_all(tmp_path):
    recipe = small(tmp_path)
    _, finished = stages(recipe, RunOptions(tmp_path / "home", evaluate=True, command="stillhouse run my.toml"))
    record = json.loads((recipe.out / "record.json").read_text())
    assert record == finished.record
    assert record["recipe"] == filled(recipe)
    assert record["recipe"]["training"]["patience"] == 4, "filled in"
    assert record["command"] == "stillhouse run my.toml"
    assert record["data"]["rows"] == {"train": 17, "selection": 1, "test": 1}
    assert {"stillhouse", "torch", "transformers"} <= set(record["versions"])
    assert len(record["teachers"]) == 1
    assert record["files"] == {name: hash_file(recipe.out / name) for name in record["files"]}
    assert {"loss", "perplexity", "kl_to_teacher", "top1_agreement"} <= set(record["evaluation"]["student"])
    assert {"loss", "perplexity", "accuracy"} <= set(record["evaluation"]["teacher"])
    model = AutoModelForCausalLM.from_pretrained(recipe.out)
    words = AutoTokenizer.from_pretrained(recipe.out)("where is my parcel", return_tensors="pt")
    assert torch.isfinite(model(input_ids=words["input_ids"]).logits).all()


def test_signals_must_be_there_to_train_from(tmp_path):
    with pytest.raises(UsageError, match="stillhouse label"):
        run_training(small(tmp_path), "my.toml", RunOptions(tmp_path / "home"), silent)


def test_a_later_run_takes_the_place_of_an_earlier_but_of_nothing_else(tmp_path):
    options = RunOptions(tmp_path / "home")
    recipe = small(tmp_path, "self_exits")
    run_training(recipe, "my.toml", options, silent)
    assert (recipe.out / "exits.safetensors").is_file()
    run_training(small(tmp_path, "self_ema"), "my.toml", options, silent)
    assert not (recipe.out / "exits.safetensors").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("two years")
    with pytest.raises(UsageError, match="holds other things"):
        run_training(small(tmp_path, "self_ema", f"out={tmp_path / 'mine'}"), "my.toml", options, silent)


def test_a_plan_opens_no_model(tmp_path):
    recipe = small(tmp_path, "self_born_again", "student.model=no/such-model", "training.epochs=3")
    plan = plan_training(recipe, "my.toml")
    assert plan["steps"] == 2 * 3 * 3
    assert plan["rows"] == {"train": 17, "selection": 1, "test": 1}
    assert plan["teacher_tells"] == ["soft", "words"]


@pytest.mark.parametrize("name", ["offline_feature", "embeddings"])
def test_states_and_vectors_that_were_kept_teach_what_the_teacher_does(name, tmp_path):
    changes = ("training.precision=no", "training.epochs=2", "teacher.signals=" + str(tmp_path / "signals"))
    figures, done = {}, {}
    for kind in ("offline", "online"):
        recipe = small(tmp_path, name, *changes, f"source.kind={kind}", f"out={tmp_path / kind}")
        done[kind], finished = stages(recipe, RunOptions(tmp_path / "home", evaluate=True))
        figures[kind] = finished.record["training"]
    assert list((tmp_path / "signals").glob("*.shard"))
    assert ("label" in done["offline"], "label" in done["online"]) == (True, False)
    assert figures["offline"]["best_loss"] == pytest.approx(figures["online"]["best_loss"], rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["[]", '["shard", "recompute"]'])
def test_two_processes_train_what_one_does(tmp_path, memory):
    changes = ("training.precision=no", "student.layers=2", f"training.save_memory={memory}")
    alone = small(tmp_path, "online", *changes)
    run_training(alone, "my.toml", RunOptions(tmp_path / "home"), silent)
    both = small(tmp_path, "online", *changes, f"out={tmp_path / 'both'}", "training.processes=2")
    run_training(both, "my.toml", RunOptions(tmp_path / "home"), silent)
    mine, its = (AutoModelForCausalLM.from_pretrained(one.out).state_dict() for one in (alone, both))
    for name, weight in mine.items():
        torch.testing.assert_close(its[name], weight, atol=1e-4, rtol=1e-3)
    assert len((both.out / "metrics.jsonl").read_text().splitlines()) == 3


def lead_or_help(recipe, home):
    if assist_training():
        return "let go"
    try:
        return str(run_training(recipe, "my.toml", RunOptions(home), silent))
    except UsageError as error:
        return str(error)


def test_a_launcher_and_a_recipe_must_want_as_many_processes(tmp_path):
    recipe = small(tmp_path, "online", "training.processes=3")
    told = launch(2, lead_or_help, (recipe, tmp_path / "home"), start="forkserver")
    assert "2 processes were started, and the recipe wants 3" in told[0]
    assert told[1] == "let go"


@pytest.mark.slow
def test_processes_that_torchrun_starts_train_what_those_started_here_do(tmp_path):
    changes = ("training.precision=no", "student.layers=2", "training.processes=2")
    here = small(tmp_path, "online", *changes)
    run_training(here, "my.toml", RunOptions(tmp_path / "home"), silent)
    path, given = prepare("online", tmp_path)
    words = [*flags([*given, *changes[:2], f"out={tmp_path / 'there'}"]), "--home", str(tmp_path / "other"), "--json"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "stillhouse", "run"]
    for again in (False, True):  # then everything has been done, and nobody is left waiting
        done = subprocess.run([*command, str(path), *words], capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["recipe"]["training"]["processes"] == 2, "one object, from the one that leads"
        assert ("done before" in done.stderr) == again
    mine, its = (AutoModelForCausalLM.from_pretrained(out).state_dict() for out in (here.out, tmp_path / "there"))
    for name, weight in mine.items():
        torch.testing.assert_close(its[name], weight, atol=1e-4, rtol=1e-3)
