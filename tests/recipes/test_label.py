"""Labelling: what is kept is what the teacher says, nothing is asked twice, and a kill costs little."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import ResNetConfig, ResNetForImageClassification

from stillhouse.errors import SignalError, UsageError
from stillhouse.models.outputs import Layers
from stillhouse.recipes import label as labelling
from stillhouse.recipes.build import make_task, make_teacher, open_teachers
from stillhouse.recipes.label import label, label_rows, open_signals, sample_ids, signals_place
from stillhouse.recipes.read_rows import read_rows
from stillhouse.recipes.training import read_train_recipe
from stillhouse.teachers.cached import Cached
from stillhouse.training.events import Note, StageDone, silent
from tests.recipes.runs import ROOT
from tests.recipes.tiny_recipes import prepare


def small(folder, name="offline", *changes):
    path, small_changes = prepare(name, folder)
    return read_train_recipe(path, [*small_changes, *changes])


def rows_of(recipe):
    return read_rows(recipe.data, recipe.task, recipe.seed)


@pytest.mark.parametrize("name", ["offline", "response", "vision"])
def test_what_is_kept_is_what_the_teacher_says(name, tmp_path):
    recipe = small(tmp_path, name, "teacher.keep=topk:60")
    rows = rows_of(recipe)
    made = label(recipe, tmp_path / "home", silent)
    assert (made.samples, made.skipped) == (len(rows.inputs), False)
    cached = Cached(open_signals(recipe, rows, tmp_path / "home"), sample_ids(rows))
    teachers = open_teachers(recipe)
    task = make_task(recipe, rows, teachers)
    task = task.still() if name == "vision" else task
    batch = task.batch([3, 0, 7])
    live, kept = (one.observe(batch, Layers()) for one in (make_teacher(recipe, task, teachers), cached))
    there = batch.labels >= 0
    assert torch.equal(kept.told, there)
    dense = live.scores if isinstance(live.scores, torch.Tensor) else live.scores.logits()
    logs = dense.log_softmax(-1).gather(-1, kept.scores.ids)
    found = kept.scores.log_probs
    real = there.unsqueeze(-1) & (found > -8)
    torch.testing.assert_close(found[real], logs[real], atol=0.2, rtol=0.05)


def test_how_much_of_the_teacher_is_kept_is_told(tmp_path):
    told = []
    few = label(small(tmp_path, "offline", "teacher.keep=topk:3"), tmp_path / "home", told.append)
    assert 0 < few.held == few.to_json()["mass_held"] < 0.9
    assert any(isinstance(event, Note) and event.warning and "samples:50" in event.text for event in told)
    told.clear()
    every = label(small(tmp_path, "offline", "teacher.keep=topk:9999"), tmp_path / "home", told.append)
    assert every.held == pytest.approx(1, abs=1e-3)
    assert not any(isinstance(event, Note) for event in told)
    assert label(small(tmp_path, "offline", "teacher.keep=samples:9"), tmp_path / "home", silent).held is None


def test_draws_are_kept_too_and_follow_from_the_seed(tmp_path):
    recipe = small(tmp_path, "offline", "teacher.keep=samples:20")
    rows = rows_of(recipe)
    for home in ("a", "b"):
        label(recipe, tmp_path / home, silent)
    reads = [open_signals(recipe, rows, tmp_path / home).read(sample_ids(rows)) for home in ("a", "b")]
    assert np.array_equal(reads[0].signal.ids, reads[1].signal.ids)
    assert set(reads[0].signal.counts.sum(-1)[reads[0].told].tolist()) == {20}


def test_done_is_done_and_another_form_is_another_place(tmp_path):
    recipe, events = small(tmp_path), []
    label(recipe, tmp_path / "home", silent)
    again = label(recipe, tmp_path / "home", events.append)
    assert again.skipped
    assert [event.skipped for event in events if isinstance(event, StageDone)] == [True]
    other = small(tmp_path, "offline", "teacher.keep=topk:5")
    assert signals_place(other, rows_of(other), tmp_path)[0] != signals_place(recipe, rows_of(recipe), tmp_path)[0]


def test_a_folder_of_other_signals_is_refused(tmp_path):
    folder = f"teacher.signals={tmp_path / 'signals'}"
    recipe = small(tmp_path, "offline", folder)
    label(recipe, tmp_path / "home", silent)
    assert label(recipe, tmp_path / "elsewhere", silent).skipped
    with pytest.raises(SignalError, match=r"holds topk:50, and the recipe wants topk:5\."):
        label(small(tmp_path, "offline", folder, "teacher.keep=topk:5"), tmp_path / "home", silent)
    with pytest.raises(SignalError, match="Label again"):
        label(small(tmp_path, "offline", folder, "data.tokens=24"), tmp_path / "home", silent)


def test_what_cannot_be_kept_is_refused(tmp_path):
    recipe = small(tmp_path)
    with pytest.raises(UsageError, match=r"no finished signals in .*stillhouse label"):
        open_signals(recipe, rows_of(recipe), tmp_path / "home")
    recipe = small(tmp_path, "embeddings", "teacher.keep=topk:5")
    with pytest.raises(UsageError, match=r"does not tell soft, top, which keep = topk:5 wants; it tells .*embedding"):
        label(recipe, tmp_path / "home", silent)
    recipe = small(tmp_path, "preference", f"teacher.model={tmp_path / 'student'}")
    with pytest.raises(UsageError, match="The task preference keeps no signals"):
        label(recipe, tmp_path / "home", silent)
    recipe = small(tmp_path, "self_ema")
    with pytest.raises(UsageError, match="names no teacher"):
        label_rows(recipe, rows_of(recipe), tmp_path / "home", silent)


INSIDE = ('teacher.keep=["topk:5", "hidden:-1,2", "embedding"]',)


@pytest.mark.parametrize("name", ["offline", "response", "vision", "embeddings"])
def test_states_and_vectors_are_kept_beside_the_scores(name, tmp_path):
    changes = ('teacher.keep=["hidden:-1,2", "embedding"]',) if name == "embeddings" else INSIDE
    recipe = small(tmp_path, name, *changes)
    rows = rows_of(recipe)
    label(recipe, tmp_path / "home", silent)
    assert label(recipe, tmp_path / "home", silent).skipped
    cached = Cached(open_signals(recipe, rows, tmp_path / "home"), sample_ids(rows))
    teachers = open_teachers(recipe)
    task = make_task(recipe, rows, teachers)
    task = task.still() if name == "vision" else task
    batch, layers = task.batch([3, 0, 7]), Layers(hidden=frozenset({-1, 2}), embedding=True)
    live, kept = (one.observe(batch, layers) for one in (make_teacher(recipe, task, teachers), cached))
    assert (kept.scores is None) == (name == "embeddings")
    torch.testing.assert_close(kept.features.embedding, live.features.embedding.float(), atol=2e-3, rtol=2e-3)
    for block in (-1, 2):
        mine, its = kept.features.hidden[block], live.features.hidden[block]
        assert mine.shape == its.shape
        real = batch.inputs["attention_mask"].bool() if name != "vision" else torch.ones(its.shape[:2], dtype=bool)
        torch.testing.assert_close(mine[real], its[real], atol=5e-3, rtol=2e-3)


def test_what_is_kept_must_be_what_the_objective_needs(tmp_path):
    folder = f"teacher.signals={tmp_path / 'signals'}"
    bare = small(tmp_path, "offline", folder)
    label(bare, tmp_path / "home", silent)
    with pytest.raises(SignalError, match=r"holds topk:50, and the recipe wants topk:50, hidden:0\."):
        label(small(tmp_path, "offline", folder, 'teacher.keep=["hidden:0", "topk:50"]'), tmp_path / "home", silent)
    path, changes = prepare("offline", tmp_path)
    path.write_text(
        path.read_text().split("[teacher]")[0] + f"[teacher]\nsignals = '{tmp_path / 'signals'}'\n" + ENDING
    )
    own = [change for change in changes if not change.startswith("teacher")]
    alone = read_train_recipe(path, own)
    with pytest.raises(SignalError, match=r"do not hold hidden\.1, which the objective needs"):
        open_signals(alone, rows_of(alone), tmp_path / "home")
    alone = read_train_recipe(path, [*own, "objective.0.name=logit_mse", "objective.0.settings={}"])
    with pytest.raises(UsageError, match=r"do not tell logits, which an objective needs; they tell soft, top"):
        open_signals(alone, rows_of(alone), tmp_path / "home")


ENDING = """
[student]
model = "x"

[source]
kind = "offline"

[[objective]]
name = "hidden_states"
settings = { pairs = { "0" = 1 } }
"""


def test_maps_of_pictures_are_refused(tmp_path):
    recipe = small(tmp_path, "vision", "teacher.keep=hidden:0")
    sizes = {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8, "num_labels": 5}
    ResNetForImageClassification(ResNetConfig(**sizes, layer_type="basic")).save_pretrained(tmp_path / "teacher-0")
    with pytest.raises(UsageError, match=r"are maps \[1, .*online source"):
        label(recipe, tmp_path / "home", silent)


KILLED = """
import os, signal, sys
from pathlib import Path
from stillhouse.recipes import label
from stillhouse.recipes.training import read_train_recipe
from stillhouse.training import keeping
from stillhouse.training.events import Progress
keeping.COMMIT_EVERY = 0.0
def tell(event):
    if isinstance(event, Progress) and event.done >= 16:
        os.kill(os.getpid(), signal.SIGKILL)
label.label(read_train_recipe(Path(sys.argv[1]), sys.argv[3:]), Path(sys.argv[2]), tell)
"""


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    path, changes = prepare("offline", tmp_path)
    recipe, home = read_train_recipe(path, changes), tmp_path / "home"
    command = [sys.executable, "-c", KILLED, str(path), str(home), *changes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(home.rglob("*.part"))
    asked = []
    monkeypatch.setattr(labelling, "make_teacher", lambda *given: Counted(make_teacher(*given), asked))
    label(recipe, home, silent)
    assert sum(asked) == 2, "of 18 rows 16 were on the disk"
    label(recipe, tmp_path / "whole", silent)
    rows = rows_of(recipe)
    resumed, whole = (open_signals(recipe, rows, place).read(sample_ids(rows)) for place in (home, tmp_path / "whole"))
    assert np.array_equal(resumed.signal.ids, whole.signal.ids)
    assert np.array_equal(resumed.signal.log_probs, whole.signal.log_probs)


class Counted:
    """A teacher that counts the rows it is asked about."""

    def __init__(self, teacher, asked):
        self.teacher, self.asked, self.tells = teacher, asked, teacher.tells

    def observe(self, batch, layers):
        self.asked.append(len(batch.rows))
        return self.teacher.observe(batch, layers)
