"""Integers that are learnt: the form that is served has them, answers as it should, and can be opened again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from stillhouse.compression.integer import bytes_of
from stillhouse.export.onnx_folder import open_graph
from stillhouse.inference.onnx_classifier import OnnxClassifier
from stillhouse.recipes.build import open_model
from stillhouse.recipes.learnt_bits import BITS, Learner, learn_bits
from stillhouse.recipes.levers import BITS as OFFERED
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.read_rows import read_rows
from stillhouse.recipes.sections import (
    DataSection,
    ObjectiveSection,
    StudentSection,
    TaskName,
    TeacherSection,
    TrainingSection,
)
from stillhouse.recipes.training import TrainRecipe
from tests.models import tiny
from tests.recipes.compressions import compress, trained
from tests.recipes.runs import texts, write

__all__ = ["trained"]

LEARNT = ("--max-drop", 0.05, "--levers", "precision,vocabulary", "--trials", 1, "--epochs", 1, "--learn-bits")


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Learner:
    """A small BERT, a larger one that teaches it, and their rows."""
    folder = tmp_path_factory.mktemp("learner")
    rows = [{"text": text} for text in texts([row % 2 for row in range(96)])]
    write(folder / "rows.jsonl", rows)
    for name, layers in (("whole", 2), ("small", 1)):
        config = BertConfig(**{**tiny.SIZES, "num_hidden_layers": layers})
        tiny.save(folder / name, BertForSequenceClassification(config), tiny.wordpiece())
    recipe = TrainRecipe(
        task=TaskName.CLASSIFICATION,
        out=folder / "out",
        data=DataSection(train=folder / "rows.jsonl", tokens=24),
        teacher=TeacherSection(model=str(folder / "whole")),
        student=StudentSection(model=str(folder / "small")),
        objective=(ObjectiveSection(name="forward_kl"),),
        training=TrainingSection(epochs=1, rate=1e-3),
    )
    read = read_rows(recipe.data, recipe.task, recipe.seed)
    small, whole = (open_model(recipe.task, str(folder / name)) for name in ("small", "whole"))
    return Learner(recipe, read, small, whole.model)


@pytest.mark.parametrize("precision", BITS)
def test_a_model_learns_integers_and_the_one_it_was_stays(student, precision, tmp_path):
    before = {name: value.clone() for name, value in student.student.model.state_dict().items()}
    heard: list[object] = []
    done = learn_bits(student, precision, tmp_path, heard.append)
    assert done.steps > 0
    assert heard
    assert bytes_of(done.integers) < 0.7 * bytes_of(student.student.model)
    assert all(torch.equal(before[name], value) for name, value in student.student.model.state_dict().items())
    ids = torch.randint(5, 30, (4, 9))
    with torch.no_grad():
        served, floats = (model(ids, torch.ones_like(ids)).logits for model in (done.integers, done.floats))
    wide = 0.2 if BITS[precision].activations < 32 else 1e-4  # what enters is rounded too, and of the floats it is not
    assert (served - floats).abs().max() < wide * floats.abs().max()


@pytest.fixture(scope="module")
def learnt(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("learnt")
    done = compress(trained, folder, *LEARNT)
    assert done.code == 0, done.err
    return folder, done


@pytest.mark.slow
def test_the_form_that_was_found_is_told_beside_the_one_that_learnt(learnt):
    told = learnt[1].json
    before, after = (form["combination"]["precision"] for form in told["forms"])
    assert after == f"{before}, learnt"
    assert before in BITS
    assert told["reached"]
    assert "With learnt integers" in learnt[1].err


@pytest.mark.slow
def test_what_learnt_holds_integers_and_answers_as_its_floats(learnt):
    folder, told = learnt[0] / "home" / "stages", learnt[1].json
    [made] = [path for path in folder.glob("bits-*") if path.is_dir()]
    size = (made / "onnx" / "model.onnx").stat().st_size
    assert size < 0.45 * (made / "floats" / "model.safetensors").stat().st_size
    subject = open_student(made / "floats")
    ids = torch.randint(5, subject.config["vocab_size"], (8, 12))
    given = {"input_ids": ids.numpy(), "attention_mask": np.ones(ids.shape, dtype=np.int64)}
    [served] = open_graph(made / "onnx" / "model.onnx").run(["logits"], given)
    with torch.no_grad():
        floats = subject.module(ids, torch.ones_like(ids)).numpy()
    assert np.abs(served - floats).max() < 1e-3 * np.abs(floats).max()
    assert told["forms"][1]["bytes"] <= 1.3 * told["forms"][0]["bytes"]


@pytest.mark.slow
def test_the_better_of_both_is_served(learnt, trained):
    told = learnt[1].json
    qualities = [form["quality"] for form in told["forms"]]
    assert qualities[told["chosen"]] == max(qualities)
    rows = [json.loads(line) for line in (trained / "test.jsonl").read_text().splitlines()[:40]]
    said = OnnxClassifier.open(learnt[0] / "small").predict([row["text"] for row in rows]).probabilities[0].argmax(1)
    assert (said == [int(row["label"][-1]) for row in rows]).mean() > 0.8


def test_every_form_of_integers_that_is_offered_can_be_learnt():
    assert set(BITS) == {name for name in OFFERED if "float" not in name}


@pytest.mark.slow
def test_floats_have_nothing_to_learn(trained, tmp_path):
    done = compress(trained, tmp_path, "--target-mb", 5, "--levers", "vocabulary", "--trials", 1, "--learn-bits")
    assert done.code == 0, done.err
    assert "no integers to be learnt" in done.err
    assert len(done.json["forms"]) == 1
