"""Eight bits a weight; that answers mostly stay is tested in tests/contracts/test_students.py."""

from __future__ import annotations

import logging

import onnx
import pytest
from onnx import TensorProto

from stillhouse.compression.quantize import quantize_int8
from stillhouse.export.onnx import export_onnx
from stillhouse.students.words import WordsStudent


def test_tables_become_integers_and_the_graph_stays_whole(tmp_path):
    export_onnx(WordsStudent(400, 3), tmp_path / "whole.onnx")
    quantize_int8(tmp_path / "whole.onnx", tmp_path / "int8.onnx")
    model = onnx.load(tmp_path / "int8.onnx")
    onnx.checker.check_model(model)
    kinds = {weight.data_type for weight in model.graph.initializer if len(weight.dims) == 2}
    assert kinds <= {TensorProto.INT8, TensorProto.UINT8}
    assert (tmp_path / "int8.onnx").stat().st_size < (tmp_path / "whole.onnx").stat().st_size
    assert {file.name for file in tmp_path.iterdir()} == {"whole.onnx", "int8.onnx"}


def test_logging_is_put_back_even_after_a_failure(tmp_path):
    level = logging.getLogger().level
    with pytest.raises(FileNotFoundError):
        quantize_int8(tmp_path / "absent.onnx", tmp_path / "int8.onnx")
    assert logging.getLogger().level == level
