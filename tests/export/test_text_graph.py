"""Texts go into the graph as they are, and come out as the student answers them."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
from onnxruntime_extensions import get_library_path

from stillhouse.errors import UsageError
from stillhouse.export.text_graph import export_text_graph, verify_text_graph
from stillhouse.export.verify import Samples, answers
from stillhouse.models.tokenizers import open_reader
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples
from tests.export.opened import subject
from tests.export.students import make_bundle

TEXTS = (
    "Refund MY money!",
    "réfund my MÖNEY",
    "now, please: late...",
    "",
    "a\tb\nc 中文 🙂",
    "back " * 300 + "please",
)


def test_a_bundle_reads_texts_as_its_tokenizer_does(tmp_path):
    student, out = open_student(make_bundle(tmp_path / "bundle", "encoder")), tmp_path / "out"
    made = export_text_graph(student, out)
    assert "onnxruntime_extensions" in made.notes[-2]
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(get_library_path())
    session = onnxruntime.InferenceSession(out / "model.onnx", options, providers=["CPUExecutionProvider"])
    assert [(one.name, one.type, one.shape) for one in session.get_inputs()] == [("text", "tensor(string)", [1])]
    assert json.loads((out / "signature.json").read_text())["inputs"][0]["name"] == "text"
    reader = open_reader(student.manifest.featurizer, tmp_path / "bundle" / "student")
    samples = Samples(ids=tuple(reader.ids(TEXTS)), texts=TEXTS)
    parity = verify_text_graph(student, out, samples)
    assert (parity.agreement, parity.rows) == (1.0, len(TEXTS))
    assert parity.largest_difference < 1e-4
    other = Samples(ids=samples.ids, texts=TEXTS[::-1])
    assert verify_text_graph(student, out, other).largest_difference > 1e-3, "it is the text that is read"
    assert np.allclose(answers(student, samples)[0].sum(1), 1, atol=1e-5)


def test_a_sentence_encoder_does_too(tmp_path):
    student = subject("bert", tmp_path)
    export_text_graph(student, tmp_path / "out")
    assert verify_text_graph(student, tmp_path / "out", draw_samples(student)).agreement == 1.0


def test_other_tokenizers_and_kinds_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match=r"has no tokenizer\.json"):
        export_text_graph(open_student(make_bundle(tmp_path / "words", "words")), tmp_path / "out")
    with pytest.raises(UsageError, match="onnx-text takes: classifier, embedding"):
        export_text_graph(subject("vit", tmp_path), tmp_path / "out")
    student = subject("bert", tmp_path)
    spec = json.loads(student.tokenizer.read_text())
    spec["normalizer"] = None
    student.tokenizer.write_text(json.dumps(spec))
    with pytest.raises(UsageError, match=r"no WordPiece as BERT has it \(.*normalizer None"):
        export_text_graph(student, tmp_path / "out")
    assert not (tmp_path / "out").exists()
