"""transformers.js loads what was exported for it, and its pipeline tells the student's own confidence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification

from stillhouse.bundle.manifest import read_manifest
from stillhouse.errors import UsageError
from stillhouse.export.transformers_js import export_transformers_js, verify_transformers_js
from stillhouse.inference.onnx_classifier import OnnxClassifier
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples
from tests.export import texts
from tests.export.node_scripts import SOURCE, told_by_node
from tests.export.students import ONE, TWO, make_bundle
from tests.models import kinds, tiny

GIVEN = [text.strip() for text in (*texts.HARD[:12], "where is my parcel now", "money back please") if text.strip()]
NEAR = 0.02
"""By how much a score may differ: runtimes of other versions make integers of activations anew."""


def served(bundle: Path) -> list[np.ndarray]:
    """What a server says of each text by itself, field by field `[texts, labels]`."""
    classifier = OnnxClassifier.open(bundle)
    told = [classifier.predict([text]).probabilities for text in GIVEN]
    return [np.concatenate(rows) for rows in zip(*told, strict=True)]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoded")
    bundle = make_bundle(folder / "bundle", "encoder", ONE, "int8+int4")
    export_transformers_js(open_student(bundle), folder / "student")
    return folder


def test_it_holds_what_transformers_js_looks_for(encoded):
    student = encoded / "student"
    assert {file.relative_to(student).as_posix() for file in student.rglob("*") if file.is_file()} == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "onnx/model.onnx",
        "onnx/model_quantized.onnx",
    }
    for file in (student / "onnx").iterdir():
        onnx.checker.check_model(onnx.load(file))
    config = json.loads((student / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert config["id2label"]["0"] == "topic 0 ✓"


@pytest.mark.parametrize("dtype", ["q8", "fp32"])
def test_a_pipeline_says_what_the_server_says(dtype, encoded):
    told = told_by_node("pipeline.mjs", str(encoded / "student"), dtype, questions={"texts": GIVEN})
    assert (
        told["version"]
        == json.loads((SOURCE / "package.json").read_text())["dependencies"]["@huggingface/transformers"]
    )
    (shares,) = served(encoded / "bundle")
    labels = ONE.fields[0].labels
    found = np.asarray([[{e["label"]: e["score"] for e in row}[label] for label in labels] for row in told["told"]])
    if dtype == "q8":
        assert np.abs(found - shares).max() < NEAR
    assert (found.argmax(1) == shares.argmax(1)).mean() >= (1 if dtype == "q8" else 0.5)
    assert {entry["label"] for entry in told["together"]} <= set(labels)
    assert len(told["together"]) == len(GIVEN)


def test_several_fields_are_told_label_by_label(tmp_path):
    bundle = make_bundle(tmp_path / "bundle", "static", TWO, "int8")
    subject = open_student(bundle)
    export_transformers_js(subject, tmp_path / "student")
    parity = verify_transformers_js(subject, tmp_path / "student", draw_samples(subject))
    assert parity.agreement == 1
    assert parity.largest_difference < 1e-5
    told = told_by_node("pipeline.mjs", str(tmp_path / "student"), "q8", questions={"texts": GIVEN})
    form = read_manifest(bundle).answer
    for field, shares in zip(form.fields, served(bundle), strict=True):
        names = [f"{field.name}: {field.show(index)}" for index in range(len(field.labels))]
        found = [[{e["label"]: e["score"] for e in row}[name] for name in names] for row in told["told"]]
        assert np.abs(np.asarray(found) - shares).max() < NEAR


@pytest.mark.parametrize("keep", ["start", "end"])
def test_it_says_where_long_texts_are_read_otherwise_than_served(keep, tmp_path):
    made = export_transformers_js(
        open_student(make_bundle(tmp_path / "bundle", "encoder", keep=keep)), tmp_path / "student"
    )
    assert any("transformers.js reads the start; Stillhouse reads the end" in note for note in made.notes) == (
        keep == "end"
    )


def test_a_folder_of_transformers_is_taken(tmp_path):
    source = tiny.save(tmp_path / "source", kinds.make("bert-classifier"), tiny.wordpiece())
    export_transformers_js(open_student(source), tmp_path / "student")
    asked = {"texts": ["my money", "my money " * 100]}
    told = told_by_node("pipeline.mjs", str(tmp_path / "student"), "fp32", questions=asked)
    assert [{entry["label"] for entry in row} for row in told["told"]] == [{"LABEL_0", "LABEL_1"}] * 2


@pytest.mark.parametrize(("kind", "tokens"), [("bert", tiny.POSITIONS), ("roberta", tiny.POSITIONS - 2)])
def test_texts_are_cut_to_the_positions_that_a_model_has(kind, tokens, tmp_path):
    config = AutoConfig.for_model(kind, **tiny.SIZES, pad_token_id=1 if kind == "roberta" else 0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    source = tiny.save(tmp_path / "source", model, tiny.wordpiece())
    beside = source / "tokenizer_config.json"
    told = json.loads(beside.read_text())
    for own, limit in ((10**30, tokens), (None, tokens), (16, 16)):
        beside.write_text(json.dumps(told | {"model_max_length": own}))
        export_transformers_js(open_student(source), tmp_path / "student")
        written = json.loads((tmp_path / "student" / "tokenizer_config.json").read_text())
        assert written == told | {"model_max_length": limit}
    beside.unlink()
    export_transformers_js(open_student(source), tmp_path / "student")
    assert json.loads((tmp_path / "student" / "tokenizer_config.json").read_text())["model_max_length"] == tokens


def test_what_it_cannot_take_is_refused(tmp_path):
    bundle = make_bundle(tmp_path / "bundle", "words", ONE)
    with pytest.raises(UsageError, match="no tokenizer"):
        export_transformers_js(open_student(bundle), tmp_path / "student")
    assert not (tmp_path / "student").exists()
