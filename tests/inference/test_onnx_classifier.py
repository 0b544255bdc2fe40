"""A bundle opens as it was made, answers with calibrated probabilities, and is refused when altered."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from stillhouse.bundle.manifest import read_manifest
from stillhouse.errors import BundleError
from stillhouse.inference.onnx_classifier import OnnxClassifier
from stillhouse.inference.onnx_student import OnnxStudent
from stillhouse.models.tokenizers import NgramReader
from tests.gateway.bundles import BUCKETS, make_bundle
from tests.gateway.serving import MANIFEST

TEXTS = ["I want a refund now", "where is my parcel", "calm please", ""]


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


def test_probabilities_are_one_row_per_text_and_field(bundle):
    fields = OnnxClassifier.open(bundle).predict(TEXTS).probabilities
    assert [part.shape for part in fields] == [(4, len(field.labels)) for field in MANIFEST.answer.fields]
    for part in fields:
        assert np.allclose(part.sum(1), 1, atol=1e-6)
    assert fields[0].argmax(1)[:2].tolist() == [0, 1]


def test_many_texts_answer_as_they_do_alone(bundle):
    classifier, texts = OnnxClassifier.open(bundle), [f"{text} {index}" for index in range(40) for text in TEXTS]
    together, alone = classifier.predict(texts), [classifier.predict([text]) for text in texts]
    for at, part in enumerate(together.probabilities):
        assert np.allclose(part, np.concatenate([one.probabilities[at] for one in alone]), atol=1e-6)
    assert together.tokens == [one.tokens[0] for one in alone]


def test_temperatures_calibrate_and_change_no_answer(bundle):
    plain = OnnxClassifier.open(bundle)
    sure = OnnxClassifier(replace(plain.manifest, temperatures=(0.5, 1.0)), plain.student)
    doubtful = OnnxClassifier(replace(plain.manifest, temperatures=(5.0, 1.0)), plain.student)
    high, low = sure.predict(TEXTS[:2]).probabilities, doubtful.predict(TEXTS[:2]).probabilities
    assert (high[0].max(1) > low[0].max(1)).all()
    assert np.array_equal(high[0].argmax(1), low[0].argmax(1))
    assert np.array_equal(high[1], low[1]), "the other field has a temperature of its own"


def test_tokens_are_counted(bundle):
    empty, short, long = OnnxClassifier.open(bundle).predict(["", "refund", "refund my parcel"]).tokens
    assert 1 == empty < short < long


class Attentive:
    """Reads n-grams and remembers which texts it read."""

    def __init__(self) -> None:
        self.inner, self.heard = NgramReader(BUCKETS, 512), []

    def ids(self, texts):
        self.heard += texts
        return self.inner.ids(texts)


def test_a_text_is_read_once(bundle):
    session, reader = onnxruntime.InferenceSession(str(bundle / "student" / "model.onnx")), Attentive()
    said = OnnxClassifier(read_manifest(bundle), OnnxStudent(session, reader)).predict(TEXTS)
    assert reader.heard == TEXTS
    assert np.array_equal(said.probabilities[0], OnnxClassifier.open(bundle).predict(TEXTS).probabilities[0])


def test_a_missing_file_is_named(bundle):
    (bundle / "student" / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"incomplete: student/model\.onnx is missing"):
        OnnxClassifier.open(bundle)


@pytest.mark.parametrize("change", [lambda data: data[:-20], lambda data: data + b"\0", lambda data: b""])
def test_an_altered_file_is_named(bundle, change):
    model = bundle / "student" / "model.onnx"
    model.write_bytes(change(model.read_bytes()))
    with pytest.raises(BundleError, match=r"model\.onnx is not the file this bundle was made with"):
        OnnxClassifier.open(bundle)


def test_a_torn_manifest_is_refused(bundle):
    manifest = bundle / "stillhouse.json"
    manifest.write_text(manifest.read_text()[:-30])
    with pytest.raises(BundleError, match="is damaged"):
        OnnxClassifier.open(bundle)


def test_a_bundle_of_a_later_version_is_refused(bundle):
    manifest = bundle / "stillhouse.json"
    manifest.write_text(json.dumps(read_manifest(bundle).to_json() | {"format": 99}))
    with pytest.raises(BundleError, match="format 99"):
        OnnxClassifier.open(bundle)
