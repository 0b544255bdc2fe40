"""Figures of a student beside its teacher agree with what dense arithmetic says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from stillhouse.models.outputs import Layers, TeacherOutput
from stillhouse.models.scores import TopK
from stillhouse.objectives import CrossEntropy
from stillhouse.objectives.cross_tokenizer import likelihoods_of_chunks
from stillhouse.recipes.build import make_task, make_teacher, open_model, open_teachers
from stillhouse.recipes.figures import measure
from stillhouse.recipes.read_rows import read_rows
from stillhouse.recipes.training import read_train_recipe
from stillhouse.signals.kinds import Kind
from stillhouse.training.look import loss_of
from stillhouse.training.offline import Offline
from stillhouse.training.online import Online
from tests.recipes.tiny_recipes import prepare, write_model


@pytest.fixture(params=["response", "online"])
def pair(request, tmp_path):
    """A student and a teacher of one task, and dense log-probs and labels of all rows."""
    path, changes = prepare(request.param, tmp_path)
    recipe = read_train_recipe(path, changes)
    rows = read_rows(recipe.data, recipe.task, 0)
    student = open_model(recipe.task, str(write_model(tmp_path / "student", recipe.task.value, 5)))
    teachers = open_teachers(recipe)
    task = make_task(recipe, rows, [student, *teachers])
    return student.model, task, make_teacher(recipe, task, teachers)


def dense(model: nn.Module, task, rows):
    batch = task.batch(rows)
    with torch.no_grad():
        logs = task.output(model, batch, Layers()).logits.log_softmax(-1)
    return logs[batch.labels >= 0], batch.labels[batch.labels >= 0]


def test_figures_are_those_of_dense_arithmetic(pair):
    student, task, teacher = pair
    rows = list(range(10))
    found = measure(student, task, Online(task, teacher, rows, 4, 0))
    q, labels = dense(student, task, rows)
    p, _ = dense(teacher.model, task, rows)
    nll = -q.gather(-1, labels[:, None]).mean().item()
    assert found["student"]["loss"] == pytest.approx(nll, rel=1e-5)
    assert found["student"]["accuracy"] == pytest.approx((q.argmax(-1) == labels).float().mean().item())
    assert found["student"]["kl_to_teacher"] == pytest.approx((p.exp() * (p - q)).sum(-1).mean().item(), rel=1e-4)
    assert found["student"]["top1_agreement"] == pytest.approx((p.argmax(-1) == q.argmax(-1)).float().mean().item())
    assert found["teacher"]["loss"] == pytest.approx(-p.gather(-1, labels[:, None]).mean().item(), rel=1e-5)
    if "perplexity" in found["student"]:
        assert found["student"]["perplexity"] == pytest.approx(math.exp(nll), rel=1e-4)


def test_a_teacher_agrees_with_itself(pair):
    _, task, teacher = pair
    found = measure(teacher.model, task, Online(task, teacher, range(10), 4, 0))
    assert found["student"]["kl_to_teacher"] == pytest.approx(0, abs=1e-6)
    assert found["student"]["top1_agreement"] == 1
    assert found["student"]["loss"] == pytest.approx(found["teacher"]["loss"])


def test_words_alone_give_no_teacher(pair):
    student, task, _ = pair
    look = Offline(task, range(10), 4, 0)
    found = measure(student, task, look)
    assert found["teacher"] == {}
    assert "kl_to_teacher" not in found["student"]
    assert loss_of(student, task, look, CrossEntropy()) == pytest.approx(found["student"]["loss"], rel=1e-5)


class Remembers:
    """A teacher of which every label was kept as a top-k."""

    tells = frozenset({Kind.SOFT, Kind.TOP})
    tokenizer = None

    def __init__(self, teacher):
        self.teacher = teacher

    def observe(self, batch, layers):
        told = self.teacher.observe(batch, layers)
        dense = told.scores if isinstance(told.scores, torch.Tensor) else told.scores.logits()
        logs, ids = dense.log_softmax(-1).sort(-1, descending=True)
        return TeacherOutput(TopK(ids, logs), told.told)


def test_kept_signals_give_the_same_divergence(pair):
    student, task, teacher = pair
    live = measure(student, task, Online(task, teacher, range(10), 4, 0))
    kept = measure(student, task, Online(task, Remembers(teacher), range(10), 4, 0))
    assert kept["student"] == pytest.approx(live["student"], rel=1e-3)
    assert kept["teacher"]["accuracy"] == live["teacher"]["accuracy"]


def test_encoders_are_compared_by_their_vectors(tmp_path):
    path, changes = prepare("embeddings", tmp_path)
    recipe = read_train_recipe(path, changes)
    teachers = open_teachers(recipe)
    task = make_task(recipe, read_rows(recipe.data, recipe.task, 0), teachers)
    look = Online(task, make_teacher(recipe, task, teachers), range(12), 4, 0)
    found = measure(teachers[0].model, task, look)
    assert found["student"] == pytest.approx({"cosine": 1, "neighbours": 1, "spearman": 1}, abs=1e-5)


def test_beside_other_tokens_chunks_are_compared(tmp_path):
    path, changes = prepare("cross_tokenizer", tmp_path)
    recipe = read_train_recipe(path, changes)
    rows = read_rows(recipe.data, recipe.task, 0)
    student, teachers = open_model(recipe.task, recipe.student.model), open_teachers(recipe)
    task = make_task(recipe, rows, [student, *teachers])
    teacher = make_teacher(recipe, task, teachers, rows)
    found = measure(student.model, task, Online(task, teacher, list(range(10)), 4, 0))
    assert set(found["student"]) == {"loss", "accuracy", "perplexity", "chunk_loss"}
    assert set(found["teacher"]) == {"chunk_loss"}
    batch = task.batch(range(10))
    told = teacher.observe(batch, Layers())
    said = task.output(student.model, batch, Layers())
    mine, its = (-float(side.detach().mean()) for side in likelihoods_of_chunks(said, told, batch))
    assert found["student"]["chunk_loss"] == pytest.approx(mine, rel=1e-4)
    assert found["teacher"]["chunk_loss"] == pytest.approx(its, rel=1e-4)
