from __future__ import annotations

import json

import onnxruntime
import pytest

from stillhouse.errors import UsageError
from stillhouse.export.ort_mobile import MODEL, OPERATORS, export_ort, verify_ort, write_ort
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples
from tests.export.gguf_students import student
from tests.models import kinds, tiny


def saved(kind, folder):
    if kind == "gpt2":  # one with room for the tokens that it writes
        return student(kind, folder)
    return open_student(tiny.save(folder, kinds.make(kind), tiny.wordpiece()))


@pytest.mark.parametrize(
    "kind",
    [
        "bert-classifier",
        "resnet-basic",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("distilbert", "gpt2")),
    ],
)
def test_it_answers_as_the_student_and_names_its_operators(kind, tmp_path):
    subject = saved(kind, tmp_path / "student")
    written = export_ort(subject, tmp_path / "out")
    names = {file.name for file in written.files}
    assert {MODEL, OPERATORS, "signature.json"} <= names
    assert names == {file.name for file in (tmp_path / "out").iterdir()}
    assert not any(name.endswith(".onnx") for name in names)
    found = verify_ort(subject, tmp_path / "out", draw_samples(subject))
    assert found.agreement == 1.0
    assert found.largest_difference < 1e-4


def test_the_list_is_what_a_reduced_build_reads(tmp_path):
    export_ort(saved("bert-classifier", tmp_path / "student"), tmp_path / "out")
    first, *lines = (tmp_path / "out" / OPERATORS).read_text().splitlines()
    assert first == f"# Operators and types of {MODEL}"
    assert str(tmp_path) not in (tmp_path / "out" / OPERATORS).read_text()
    for line in lines:
        domain, opset, operators = line.split(";", 2)
        assert domain in {"ai.onnx", "com.microsoft"}
        assert opset.isdigit()
        assert operators
    listed = " ".join(lines)
    for needed in ("Gather", "MatMul", "Softmax"):
        assert needed in listed


def test_it_is_opened_as_what_it_is(tmp_path):
    export_ort(saved("vit", tmp_path / "student"), tmp_path / "out")
    assert (tmp_path / "out" / MODEL).read_bytes()[4:8] == b"ORTM"
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / MODEL), providers=["CPUExecutionProvider"])
    told = json.loads((tmp_path / "out" / "signature.json").read_text())
    assert [one.name for one in session.get_inputs()] == [one["name"] for one in told["inputs"]]


def test_what_cannot_be_converted_is_told_of(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(UsageError, match=r"cannot write model\.onnx"):
        write_ort(tmp_path / "model.onnx", tmp_path)
    (tmp_path / "model.onnx.data").write_bytes(b"")
    with pytest.raises(UsageError, match="larger than the 2 GB"):
        write_ort(tmp_path / "model.onnx", tmp_path)
