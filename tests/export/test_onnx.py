"""The exported graph stands alone; that it answers alike is tested in tests/contracts/test_students.py."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
import pytest
import torch

from stillhouse.export.onnx import export_onnx
from stillhouse.students.words import WordsStudent


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
