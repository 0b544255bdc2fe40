"""Folders load by the names of others: Transformers and Sentence-Transformers, from models and from bundles."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from stillhouse.artifacts import hash_file
from stillhouse.errors import UsageError
from stillhouse.export.safetensors import export_safetensors, verify_safetensors
from stillhouse.models.tokenizers import open_reader, pad
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples
from stillhouse.tasks.embedding import Pooling, embed, read_texts, save_sentence_encoder
from tests.export.opened import subject
from tests.export.students import ONE, TWO, make_bundle
from tests.models import kinds, tiny

LOADERS = {
    "bert-classifier": AutoModelForSequenceClassification,
    "vit": AutoModelForImageClassification,
    "resnet-basic": AutoModelForImageClassification,
    "llama": AutoModelForCausalLM,
    "gpt2": AutoModelForCausalLM,
    "distilbert": AutoModel,
}


@pytest.mark.parametrize("kind", LOADERS)
def test_from_pretrained_gives_the_same_model(kind, tmp_path):
    student, out = subject(kind, tmp_path), tmp_path / "out"
    made = export_safetensors(student, out)
    assert {"model.safetensors", "config.json", "README.md"} <= {path.name for path in made.files}
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in made.files)
    loaded, given = LOADERS[kind].from_pretrained(out).eval(), kinds.inputs(kinds.make(kind))
    with torch.no_grad():
        assert torch.equal(kinds.answer(loaded, given), kinds.answer(kinds.make(kind), given))
    if "input_ids" in given:
        assert AutoTokenizer.from_pretrained(out)("refund").input_ids
    samples = draw_samples(student) if kind != "resnet-basic" else None
    if samples is not None:
        parity = verify_safetensors(student, out, samples)
        assert (parity.agreement, parity.largest_difference, parity.rows) == (1.0, 0.0, samples.rows)
    export_safetensors(student, tmp_path / "again")
    for path in made.files:
        assert hash_file(path) == hash_file(tmp_path / "again" / path.relative_to(out))


def test_a_sentence_encoder_keeps_its_pooling(tmp_path):
    texts = ["refund my money", "the parcel is late please", "now"]
    model = tiny.encoder()
    wrapped = AutoTokenizer.from_pretrained(tiny.save(tmp_path / "plain", model, tiny.wordpiece()))
    task = read_texts(texts, wrapped, 32, Pooling.CLS)
    save_sentence_encoder(tmp_path / "theirs", model, wrapped, task, 32)
    student = open_student(tmp_path / "theirs")
    export_safetensors(student, tmp_path / "out")
    vectors = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(texts)
    assert np.allclose(vectors, embed(model, task).numpy(), atol=1e-5)
    assert verify_safetensors(student, tmp_path / "out", draw_samples(student)).agreement == 1.0


@pytest.mark.parametrize(("form", "keep"), [(ONE, "start"), (TWO, "end")], ids=["one field", "two fields"])
def test_a_bundles_encoder_gives_its_logits_as_vectors(form, keep, tmp_path):
    bundle = make_bundle(tmp_path / "bundle", "encoder", form, keep=keep)
    student, out = open_student(bundle), tmp_path / "out"
    notes = export_safetensors(student, out).notes
    assert "SentenceTransformer" in notes[0]
    assert student.manifest is not None
    texts = ["refund my money", "where is the parcel", "late", "now " + "back " * 400 + "please"]
    ids, mask = pad(open_reader(student.manifest.featurizer, bundle / "student").ids(texts))
    with torch.no_grad():
        expected = student.module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    found = SentenceTransformer(str(out), device="cpu").encode(texts)
    assert np.allclose(found, expected, atol=1e-5), "long texts are cut alike too"
    assert f"of long ones the {keep} is kept" in (out / "README.md").read_text()
    config = json.loads((out / "config.json").read_text())
    names = tuple(config["id2label"].values())
    assert names == (student.labels[0] if form is ONE else names)
    assert len(set(names)) == len(config["label2id"]) == sum(student.fields)
    assert AutoModel.from_pretrained(out).config.num_hidden_layers == tiny.BLOCKS
    parity = verify_safetensors(student, out, draw_samples(student))
    assert parity.agreement == 1.0
    assert parity.largest_difference < 1e-5


@pytest.mark.parametrize("family", ["words", "static"])
def test_students_that_are_no_transformers_say_where_they_can_go(family, tmp_path):
    with pytest.raises(UsageError, match=rf"is a {family} student.*onnx, web or c"):
        export_safetensors(open_student(make_bundle(tmp_path / "bundle", family)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_spoilt_weights_are_found_out(tmp_path):
    student, out = subject("bert-classifier", tmp_path), tmp_path / "out"
    export_safetensors(student, out)
    weights = load_file(out / "model.safetensors")
    save_file({name: value.flip(0) for name, value in weights.items()}, out / "model.safetensors", {"format": "pt"})
    assert verify_safetensors(student, out, draw_samples(student)).largest_difference > 1e-3
