"""A small real bundle: an ONNX student of hashed n-grams that goes by a few words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stillhouse.artifacts import hash_file
from stillhouse.bundle.manifest import Manifest
from stillhouse.models.ngrams import ngram_ids
from tests.gateway.serving import MANIFEST

BUCKETS = 4096
WORDS = (("refund", "parcel", "else"), ("calm", "now"))
"""For each field, the word that speaks for each of its labels."""


def make_bundle(folder: Path, manifest: Manifest = MANIFEST, words: Sequence[Sequence[str]] = WORDS) -> Path:
    """Write a bundle whose student sums the weights of a text's n-grams."""
    weights = np.concatenate([weights_of(part) for part in words], axis=1)
    (folder / "student").mkdir(parents=True)
    onnx.save(model(weights), folder / "student" / "model.onnx")
    featurizer = replace(manifest.featurizer, kind="ngrams", buckets=BUCKETS, max_tokens=512)
    files = {"student/model.onnx": hash_file(folder / "student" / "model.onnx")}
    whole = replace(manifest, featurizer=featurizer, files=files)
    (folder / "stillhouse.json").write_text(json.dumps(whole.to_json()), encoding="utf-8")
    return folder


def weights_of(words: Sequence[str]) -> np.ndarray:
    """Weights [buckets, labels] by which every n-gram of a word speaks for its label."""
    weights = np.zeros((BUCKETS, len(words)), dtype=np.float32)
    for label, word in enumerate(words):
        weights[ngram_ids(word, BUCKETS, 512), label] += 0.5
    return weights


def model(weights: np.ndarray) -> onnx.ModelProto:
    """Look up, mask and add."""
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["each", "column"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "tokens"], ["logits"], keepdims=0),
    ]
    constants = {"weights": weights, "last": np.array([-1]), "tokens": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "student",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "ids"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", weights.shape[1]])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
