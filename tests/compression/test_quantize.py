"""Eight bits a weight, or four; that answers mostly stay is tested in tests/contracts/test_students.py."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from onnxruntime import InferenceSession

from stillhouse.compression.quantize import quantize
from stillhouse.export.onnx import export_onnx
from stillhouse.students.static import StaticStudent
from stillhouse.students.words import WordsStudent


def test_tables_become_integers_and_the_graph_stays_whole(tmp_path):
    export_onnx(WordsStudent(400, 3), tmp_path / "whole.onnx")
    quantize(tmp_path / "whole.onnx", tmp_path / "int8.onnx")
    model = onnx.load(tmp_path / "int8.onnx")
    onnx.checker.check_model(model)
    kinds = {weight.data_type for weight in model.graph.initializer if len(weight.dims) == 2}
    assert kinds <= {TensorProto.INT8, TensorProto.UINT8}
    assert (tmp_path / "int8.onnx").stat().st_size < (tmp_path / "whole.onnx").stat().st_size
    assert {file.name for file in tmp_path.iterdir()} == {"whole.onnx", "int8.onnx"}


@pytest.mark.parametrize(("width", "bits"), [(64, 4), (40, 8)])
def test_embeddings_take_4_bits_where_their_rows_are_made_of_blocks(tmp_path, width, bits):
    torch.manual_seed(0)
    student = StaticStudent(torch.randn(1_000, width), 3)
    export_onnx(student, tmp_path / "whole.onnx")
    for name, embeddings in (("eight", 8), ("four", 4)):
        quantize(tmp_path / "whole.onnx", tmp_path / f"{name}.onnx", embeddings)
    saved = (tmp_path / "eight.onnx").stat().st_size - (tmp_path / "four.onnx").stat().st_size
    assert saved > 1_000 * width / 3 if bits == 4 else abs(saved) < 1_000
    ids = np.arange(1, 13, dtype=np.int64)[None]
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    whole, four = (InferenceSession(tmp_path / f"{name}.onnx").run(None, feeds)[0] for name in ("whole", "four"))
    assert np.abs(whole - four).max() < 0.1 * np.ptp(whole)


def test_logging_is_left_as_it_was_found_even_after_a_failure(tmp_path, capfd):
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    export_onnx(StaticStudent(torch.randn(100, 64), 3), tmp_path / "whole.onnx")
    quantize(tmp_path / "whole.onnx", tmp_path / "four.onnx", embeddings=4)
    assert (root.level, root.handlers) == before
    assert "INFO" not in capfd.readouterr().err
    with pytest.raises(FileNotFoundError):
        quantize(tmp_path / "absent.onnx", tmp_path / "int8.onnx")
    assert (root.level, root.handlers) == before


def test_it_is_quiet_also_where_nobody_set_up_logging(tmp_path):
    export_onnx(StaticStudent(torch.randn(100, 64), 3), tmp_path / "whole.onnx")
    code = (
        "import logging; from pathlib import Path; from stillhouse.compression.quantize import quantize; "
        f"quantize(Path({str(tmp_path / 'whole.onnx')!r}), Path({str(tmp_path / 'four.onnx')!r}), embeddings=4); "
        "logging.getLogger('somebody').info('remark'); print(logging.getLogger().handlers)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
    assert "INFO" not in ran.stderr
