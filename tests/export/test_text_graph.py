"""Texts go into the graph as they are, and come out as the student answers them."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
from onnxruntime_extensions import get_library_path
from transformers import BertConfig, BertForSequenceClassification

from stillhouse.errors import UsageError
from stillhouse.export.text_graph import export_text_graph, verify_text_graph
from stillhouse.export.verify import Samples, answers
from stillhouse.models.tokenizers import open_reader
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples, read_samples
from tests.export.opened import subject
from tests.export.students import make_bundle
from tests.models import tiny

TEXTS = (
    "Refund MY money!",
    "réfund my MÖNEY",
    "now, please: late...",
    "",
    "a\tb\nc 中文 🙂",
    "back " * 300 + "please",
    "please " + "back " * 300,
)


@pytest.mark.parametrize("keep", ["start", "end"])
def test_a_bundle_reads_texts_as_its_tokenizer_does(keep, tmp_path):
    student, out = open_student(make_bundle(tmp_path / "bundle", "encoder", keep=keep)), tmp_path / "out"
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


@pytest.mark.parametrize("cut", [None, {"direction": "Left", "max_length": 160}])
def test_long_texts_are_compared_as_the_graph_reads_them(cut, tmp_path):
    """Also without a bundle, which would say how many tokens are read."""
    long = tiny.SIZES | {"max_position_embeddings": 300, "num_labels": 4}
    model = BertForSequenceClassification(BertConfig(**long)).eval()
    student = open_student(tiny.save(tmp_path / "bert", model, tiny.wordpiece()))
    if cut:
        spec = json.loads(student.tokenizer.read_text())
        student.tokenizer.write_text(json.dumps(spec | {"truncation": cut | {"strategy": "LongestFirst", "stride": 0}}))
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(tiny.WORDS, size=size)) for size in (20, 200, 400, 180)]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    export_text_graph(student, tmp_path / "out")
    parity = verify_text_graph(student, tmp_path / "out", read_samples(student, rows))
    assert (parity.agreement, parity.rows) == (1.0, 4)
    assert parity.largest_difference < 1e-4


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
