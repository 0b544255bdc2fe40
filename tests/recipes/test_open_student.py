"""Every kind of student is opened, and what cannot be opened is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from stillhouse.bundle.manifest import read_manifest
from stillhouse.errors import BundleError, UsageError
from stillhouse.export.subject import Kind
from stillhouse.inference.onnx_student import OnnxStudent
from stillhouse.models.tokenizers import open_reader, pad
from stillhouse.recipes.open_student import open_student
from tests.models import kinds, tiny
from tests.recipes.runs import LABELS, texts


def saved(kind: str, folder: Path) -> Path:
    return tiny.save(folder, kinds.make(kind), tiny.wordpiece())


def test_a_bundle_is_opened_as_it_was_trained(plain, encoded):
    for bundle, family in ((plain / "student", "words"), (encoded, "encoder")):
        subject, manifest = open_student(bundle), read_manifest(bundle)
        assert (subject.kind, subject.family, subject.folder) == (Kind.CLASSIFIER, family, bundle)
        assert subject.labels == (tuple(sorted(LABELS)),) or {*subject.labels[0]} == {*LABELS}
        assert subject.manifest == manifest
        assert not subject.module.training
        reader = open_reader(manifest.featurizer, bundle / "student")
        ids, mask = pad(reader.ids(texts([0, 1, 2] * 10, seed=5)))
        with torch.no_grad():
            trained = subject.module(torch.from_numpy(ids), torch.from_numpy(mask)).argmax(1)
        served = OnnxStudent.open(bundle / "student", manifest.featurizer).logits(texts([0, 1, 2] * 10, seed=5))
        assert (trained.numpy() == served.argmax(1)).mean() >= 0.9
    assert subject.tokenizer == encoded / "student" / "tokenizer.json"
    assert subject.config["model_type"] == "bert"
    assert open_student(plain / "student").tokenizer is None


@pytest.mark.parametrize(
    ("kind", "expected", "family", "labels"),
    [
        ("llama", Kind.LANGUAGE_MODEL, "llama", 0),
        ("gpt2", Kind.LANGUAGE_MODEL, "gpt2", 0),
        ("bert-classifier", Kind.CLASSIFIER, "bert", 2),
        ("vit", Kind.IMAGE, "vit", 5),
        ("resnet-basic", Kind.IMAGE, "resnet", 5),
        ("distilbert", Kind.EMBEDDING, "distilbert", 0),
        ("bert-masked", Kind.EMBEDDING, "bert", 0),
    ],
)
def test_a_folder_of_transformers_is_opened_by_its_class(kind, expected, family, labels, tmp_path):
    folder = saved(kind, tmp_path / kind)
    subject = open_student(folder)
    assert (subject.kind, subject.family, sum(subject.fields)) == (expected, family, labels)
    assert not subject.module.training
    assert subject.tokenizer == (None if expected is Kind.IMAGE else folder / "tokenizer.json")
    assert next(subject.module.parameters()).dtype == torch.float32
    assert json.loads(json.dumps(dict(subject.config)))["model_type"] == family


def test_sentence_transformers_and_the_built_in_encoder_are_embeddings():
    subject = open_student("minilm")
    assert (subject.kind, subject.family) == (Kind.EMBEDDING, "bert")
    assert (subject.folder / "modules.json").is_file()


def test_a_bundle_without_its_trained_student_is_refused(plain, tmp_path):
    old = shutil.copytree(plain / "student", tmp_path / "old")
    manifest = json.loads((old / "stillhouse.json").read_text())
    del manifest["run"]["trained"]
    (old / "stillhouse.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"earlier version.*Distil again"):
        open_student(old)


@pytest.mark.parametrize("name", ["trained/student.safetensors", "trained/student.json", "student/model.onnx"])
def test_a_torn_or_incomplete_bundle_is_refused(name, plain, tmp_path):
    bundle = shutil.copytree(plain / "student", tmp_path / "torn")
    (bundle / name).write_bytes((bundle / name).read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match="its hash differs"):
        open_student(bundle)
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        open_student(bundle)


def test_what_is_no_student_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    saved("bert", tmp_path / "strange")
    config = json.loads((tmp_path / "strange" / "config.json").read_text())
    for path, told in ((tmp_path / "file", "is a file"), (tmp_path / "empty", "holds neither stillhouse.json")):
        with pytest.raises(UsageError, match=told):
            open_student(path)
    for names, told in ((["BertForTokenClassification"], "BertForTokenClassification"), (None, "no named class")):
        (tmp_path / "strange" / "config.json").write_text(json.dumps(config | {"architectures": names}))
        with pytest.raises(UsageError, match=told):
            open_student(tmp_path / "strange")
    with pytest.raises(UsageError, match="neither a folder here nor a model"):
        open_student("nobody/nothing")
    with pytest.raises(UsageError, match="no name that a model"):
        open_student(tmp_path / "not there at all")
