"""The exported graph stands alone; that it answers alike is tested in tests/contracts/test_students.py."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from stillhouse.export.onnx import export_embedding, export_image, export_onnx
from stillhouse.export.pooling import Stack
from stillhouse.students.words import WordsStudent
from tests.models import kinds, tiny


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> Path:
    """A trained-looking student, exported while it was still in training mode."""
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    student = WordsStudent(50, 3).train()
    export_onnx(student, path)
    assert not student.training
    return path


def test_it_is_one_valid_file_with_the_names_that_serving_asks_for(graph):
    assert [file.name for file in graph.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(graph)
    onnx.checker.check_model(model)
    assert [entry.name for entry in model.graph.input] == ["input_ids", "attention_mask"]
    assert [entry.name for entry in model.graph.output] == ["logits"]


def test_rows_and_tokens_are_free(graph):
    model = onnx.load(graph)
    shapes = [[axis.dim_param for axis in entry.type.tensor_type.shape.dim] for entry in model.graph.input]
    assert shapes == [["rows", "tokens"], ["rows", "tokens"]]


def test_it_names_no_file_of_the_machine_that_made_it(graph):
    assert str(Path(torch.__file__).parents[1]).encode() not in graph.read_bytes()
    assert b"stillhouse/" not in graph.read_bytes()


def test_loggers_keep_their_levels(tmp_path):
    names = ("torch.onnx", "onnxscript", "torch.export")
    before = [logging.getLogger(name).level for name in names]
    with pytest.raises(Exception, match=r"."):
        export_onnx(torch.nn.Linear(2, 2), tmp_path / "never.onnx")  # takes one input, not two
    assert [logging.getLogger(name).level for name in names] == before


QUICK = ("vit", "resnet-basic", "bert", "modernbert")
"""Every other architecture is tested where minutes do not count."""


def some(architectures: tuple[str, ...]) -> list:
    return [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in architectures]


@pytest.mark.parametrize("kind", some((*kinds.IMAGES, *kinds.STAGES)))
def test_image_classifiers_give_their_logits_for_any_number_of_images(kind, tmp_path):
    model = kinds.make(kind).train()
    size = getattr(model.config, "image_size", 32)
    export_image(model, tmp_path / "model.onnx", (3, size, size))
    assert not model.training, "an export leaves no model in training"
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for rows in (1, 5):
        given = kinds.inputs(model, rows, seed=rows)
        with torch.no_grad():
            expected = model(**given).logits.numpy()
        found = session.run(["logits"], {"pixel_values": given["pixel_values"].numpy()})[0]
        assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("architecture", some(tiny.ARCHITECTURES))
def test_sentence_encoders_give_states_and_vectors(architecture, tmp_path):
    model, stack = tiny.encoder(architecture), Stack(("mean", "cls"))
    export_embedding(model, stack, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for rows, tokens in ((1, 1), (3, 12)):
        ids, mask = tiny.ids(rows, tokens), torch.ones(rows, tokens, dtype=torch.long)
        mask[-1, max(1, tokens - 4) :] = 0
        states, vectors = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        expected = tiny.states(model, ids, mask)
        real = mask.bool().numpy()
        assert np.abs(states - expected.numpy())[real].max() < 1e-4
        assert np.abs(vectors - stack(expected, mask).numpy()).max() < 1e-5
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
