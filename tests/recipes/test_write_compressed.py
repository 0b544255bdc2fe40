"""The folder that a compression leaves."""

from __future__ import annotations

import json
from shutil import copyfile, copytree

import numpy as np
import pytest

from stillhouse.bundle.manifest import read_certificate, read_manifest
from stillhouse.errors import BundleError
from stillhouse.inference.onnx_classifier import OnnxClassifier
from stillhouse.models.tokenizers import read_ids
from stillhouse.recipes.build import open_model
from stillhouse.recipes.compression import task_of
from stillhouse.recipes.reference import scores_of
from stillhouse.recipes.sections import TaskName
from stillhouse.tasks.classification import Classification
from tests.recipes.compressions import BITS, TOPICS, compress, fewer_bits, trained

__all__ = ["fewer_bits", "trained"]


def test_it_is_a_bundle_with_its_record(fewer_bits):
    folder = fewer_bits[0] / "small"
    manifest, certificate = read_manifest(folder), read_certificate(folder)
    assert manifest.answer.fields[0].labels == tuple(f"topic {number}" for number in range(TOPICS))
    assert manifest.threshold == certificate.cascade.threshold
    assert manifest.run["form"] == fewer_bits[1]["forms"][fewer_bits[1]["chosen"]]["combination"]
    assert json.loads((folder / "compression.json").read_text())["reached"]
    assert not list(folder.rglob(".*"))


def test_of_long_texts_it_is_served_the_end_that_it_was_certified_on(fewer_bits, trained):
    filler = " ".join(["please"] * 60)
    served = OnnxClassifier.open(fewer_bits[0] / "small")
    long = served.predict([f"thing1 matter1 {filler} thing2 matter2"]).probabilities[0]
    opened = open_model(TaskName.CLASSIFICATION, str(trained / "whole"))
    certified, _ = read_ids([f"thing1 matter1 {filler}"], opened.reader, 32)
    assert len(certified[0]) == 32
    scores = scores_of(opened.model, Classification(certified, np.zeros((1, 1), np.int64), (TOPICS,)), [0])
    assert long.argmax() == int(scores.argmax())
    assert served.predict([f"thing1 matter1 {filler}"]).probabilities[0].tolist() == long.tolist()


def test_of_the_folder_that_it_was_given_the_model_alone_goes_along(fewer_bits, trained, tmp_path):
    copytree(trained / "whole", tmp_path / "whole")
    for name in ("rows.jsonl", "test.jsonl"):
        copyfile(trained / name, tmp_path / name)
    for name in ("checkpoint-5/optimizer.pt", "runs/events", "earlier/model/config.json"):
        (tmp_path / "whole" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "whole" / name).write_text("x")
    done = compress(tmp_path, tmp_path / "whole", *BITS, home=fewer_bits[0] / "home")
    assert done.code == 0, done.err
    model = tmp_path / "whole" / "small" / "model"
    own = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert own == {file.relative_to(model).as_posix() for file in model.rglob("*")}
    assert task_of(str(model)) is TaskName.CLASSIFICATION


def test_an_altered_graph_is_refused(fewer_bits, tmp_path):
    copytree(fewer_bits[0] / "small", tmp_path / "small")
    graph = tmp_path / "small" / "student" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"x")
    with pytest.raises(BundleError, match="its hash differs"):
        OnnxClassifier.open(tmp_path / "small")
