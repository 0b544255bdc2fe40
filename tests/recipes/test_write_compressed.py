"""The folder that a compression leaves."""

from __future__ import annotations

import json
from shutil import copytree

import pytest

from stillhouse.bundle.manifest import read_certificate, read_manifest
from stillhouse.errors import BundleError
from stillhouse.inference.onnx_classifier import OnnxClassifier
from tests.recipes.compressions import TOPICS, fewer_bits, trained

__all__ = ["fewer_bits", "trained"]


def test_it_is_a_bundle_with_its_record(fewer_bits):
    folder = fewer_bits[0] / "small"
    manifest, certificate = read_manifest(folder), read_certificate(folder)
    assert manifest.answer.fields[0].labels == tuple(f"topic {number}" for number in range(TOPICS))
    assert manifest.threshold == certificate.cascade.threshold
    assert manifest.run["form"] == fewer_bits[1]["forms"][fewer_bits[1]["chosen"]]["combination"]
    assert json.loads((folder / "compression.json").read_text())["reached"]
    assert not list(folder.rglob(".*"))


def test_an_altered_graph_is_refused(fewer_bits, tmp_path):
    copytree(fewer_bits[0] / "small", tmp_path / "small")
    graph = tmp_path / "small" / "student" / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"x")
    with pytest.raises(BundleError, match="its hash differs"):
        OnnxClassifier.open(tmp_path / "small")
