"""Training from folders to a folder: killed and gone on with, every weight the same; figures told; peers compared."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from stillhouse.errors import StillhouseError, UsageError
from stillhouse.recipes.build import open_model
from stillhouse.recipes.label import label
from stillhouse.recipes.sections import TaskName
from stillhouse.recipes.teach import Work, look_at, teach
from stillhouse.recipes.training import read_train_recipe
from stillhouse.training.events import Progress
from tests.recipes.runs import ROOT
from tests.recipes.tiny_recipes import prepare, write_model, write_other

KILLED = """
import os, signal, sys
from pathlib import Path
from stillhouse.recipes import teach
from stillhouse.recipes.training import read_train_recipe
from stillhouse.training.events import Progress
teach.CHECKPOINT_EVERY = 0.0
def tell(event):
    if isinstance(event, Progress) and event.done >= 5:
        os.kill(os.getpid(), signal.SIGKILL)
recipe = read_train_recipe(Path(sys.argv[1]), sys.argv[4:])
teach.teach(teach.Work(recipe, Path(sys.argv[2]), (sys.argv[3],), Path("home")), tell)
"""


def work(folder, name, place, *changes):
    path, small = prepare(name, folder)
    changes = [*small, "data.packed=false", *changes]
    recipe = read_train_recipe(path, changes)
    student = recipe.student.model or recipe.teacher.names[0]
    (folder / place).mkdir()
    return Work(recipe, folder / place, (student,), folder / "home"), [path, folder / place, student, *changes]


SLOWLY = [pytest.param(name, marks=pytest.mark.slow) for name in ("self_born_again", "preference")]


@pytest.mark.parametrize("name", ["on_policy", *SLOWLY])
def test_killed_and_gone_on_with_the_weights_are_the_same(name, tmp_path):
    changes = ["training.epochs=2", "student.fresh=false"]
    killed, words = work(tmp_path, name, "killed", *changes)
    whole, _ = work(tmp_path, name, "whole", *changes)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert any(killed.folder.glob(".checkpoint*"))
    steps = []
    teach(killed, lambda event: steps.append(event.done) if isinstance(event, Progress) else None)
    teach(whole)
    mine, its = (load_file(one.folder / "model.safetensors") for one in (killed, whole))
    assert mine.keys() == its.keys()
    assert all(torch.equal(mine[key], its[key]) for key in mine)


def test_what_happened_is_told(tmp_path):
    one, _ = work(tmp_path, "online", "made", "training.epochs=8", "training.rate=0.01", "teacher.precision=float32")
    events = []
    teach(one, events.append)
    told = json.loads((one.folder / "training.json").read_text())
    assert told["steps"] == 24
    assert told["before"]["student"]["kl_to_teacher"] == pytest.approx(0, abs=1e-6), "the student is the teacher here"
    assert told["parameters"] > 10_000
    assert {"loss", "accuracy", "perplexity", "kl_to_teacher", "top1_agreement"} <= set(told["after"]["student"])
    lines = [json.loads(line) for line in (one.recipe.out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 25))
    assert {"loss", "rate", "kl_to_teacher", "tokens_per_s", "memory_mb"} <= set(lines[0])
    progress = [event for event in events if isinstance(event, Progress)]
    assert (progress[-1].done, progress[-1].total) == (24, 24)
    assert "best held-out loss" in progress[-1].note


def test_a_student_gets_closer_to_its_teacher(tmp_path):
    other = write_model(tmp_path / "other", "chat", 9)
    one, _ = work(
        tmp_path,
        "online",
        "made",
        f"student.model={other}",
        "training.epochs=8",
        "training.rate=0.01",
        "source.batch=4",
    )
    teach(one)
    told = json.loads((one.folder / "training.json").read_text())
    assert told["after"]["student"]["kl_to_teacher"] < 0.8 * told["before"]["student"]["kl_to_teacher"]
    again = look_at(one.recipe, one.folder, one.home, one.students[0])
    assert again["student"]["kl_to_teacher"] == pytest.approx(told["after"]["student"]["kl_to_teacher"], rel=1e-4)


def test_a_run_that_goes_astray_says_so(tmp_path):
    one, _ = work(tmp_path, "online", "made", "training.rate=1e30", "training.clip=1e30")
    with pytest.raises(StillhouseError, match=r"not a number.*training\.rate"):
        teach(one)


def test_adapters_are_merged(tmp_path):
    one, _ = work(tmp_path, "lora_chat", "made", "training.rate=0.01")
    teach(one)
    names = load_file(one.folder / "model.safetensors").keys()
    begun = load_file(one.students[0] + "/model.safetensors")
    assert names == begun.keys()
    trained = open_model(TaskName.CHAT, str(one.folder)).model.state_dict()
    assert any(not torch.equal(trained[name], weight) for name, weight in begun.items())


def test_early_answers_are_kept_beside(tmp_path):
    one, _ = work(tmp_path, "self_exits", "made")
    teach(one)
    assert {name: list(value.shape) for name, value in load_file(one.folder / "exits.safetensors").items()} == {
        "0.head.weight": [3, 32],
        "0.head.bias": [3],
    }


def test_students_that_teach_themselves_need_answers(tmp_path):
    one, _ = work(tmp_path, "self_ema", "made")
    one.recipe.data.train.write_text('{"text": "refund"}\n{"text": "parcel"}\n')
    with pytest.raises(UsageError, match="have no labels, and a student that teaches itself"):
        teach(one)


def test_preferences_are_measured_against_the_student_as_it_began(tmp_path):
    changes = ("training.epochs=6", "training.rate=0.01", "data.packed=true")
    one, _ = work(tmp_path, "preference", "made", *changes)
    teach(one)
    told = json.loads((one.folder / "training.json").read_text())
    assert told["before"]["student"]["reward_accuracy"] == 0.5
    assert told["after"]["student"]["reward_margin"] > 0
    figures = {"pair_accuracy", "pair_accuracy_per_token", "chosen_loss"}
    assert set(told["after"]["student"]) == figures | {"reward_accuracy", "reward_margin"}
    assert set(told["after"]["teacher"]) == figures
    again = look_at(one.recipe, one.folder, one.home, one.students[0])
    assert again["student"] == pytest.approx(told["after"]["student"], abs=1e-3)
    alone, _ = work(tmp_path, "preference", "alone", "source.kind=offline", 'objective=[{name="simpo"}]')
    teach(alone)
    assert set(json.loads((alone.folder / "training.json").read_text())["after"]["student"]) == figures


def test_answers_and_reasons_have_figures_of_their_own(tmp_path):
    teacher = write_model(tmp_path / "teacher", "rationale", 3)
    more = (f"teacher.model={teacher}", "source.kind=online", "data.packed=true", "training.rate=0.01")
    more = (*more, f"data.selection={tmp_path / 'train.jsonl'}")
    one, _ = work(tmp_path, "rationale", "made", "training.epochs=4", *more)
    teach(one)
    told = json.loads((one.folder / "training.json").read_text())
    before, after = (told[when]["student"] for when in ("before", "after"))
    assert {"loss", "accuracy", "perplexity", "rationale_loss", "rationale_accuracy"} <= set(after)
    assert {"loss", "rationale_loss"} <= set(told["after"]["teacher"])
    assert all(after[name] < before[name] for name in ("loss", "rationale_loss"))


def test_a_student_gets_closer_to_a_teacher_with_another_tokenizer(tmp_path):
    more = ("training.epochs=6", "training.rate=0.01", "source.batch=4", "teacher.precision=float32")
    one, _ = work(tmp_path, "cross_tokenizer", "made", *more)
    teach(one)
    told = json.loads((one.folder / "training.json").read_text())
    assert told["after"]["student"]["chunk_loss"] < told["before"]["student"]["chunk_loss"]
    assert told["after"]["teacher"]["chunk_loss"] == pytest.approx(told["before"]["teacher"]["chunk_loss"], rel=1e-4)
    again = look_at(one.recipe, one.folder, one.home, one.students[0])
    assert again["student"] == pytest.approx(told["after"]["student"], rel=1e-3)


def test_signals_of_other_tokens_are_refused(tmp_path):
    one, _ = work(tmp_path, "offline", "made")
    label(one.recipe, one.home, lambda event: None)
    other = write_other(tmp_path / "other")
    with pytest.raises(UsageError, match=r"another tokenizer than .*other's.*cross_tokenizer"):
        teach(Work(one.recipe, one.folder, (str(other),), one.home))
