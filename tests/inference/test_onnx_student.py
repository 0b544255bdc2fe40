"""Raw scores from a folder, the same in one pass and in many."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.bundle.manifest import Featurizer
from stillhouse.inference.onnx_student import OnnxStudent, likeliest, shares, softmax, split_fields
from tests.gateway.bundles import BUCKETS, make_bundle

FEATURIZER = Featurizer("ngrams", 512, BUCKETS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("made") / "bundle") / "student"


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_threads_change_no_answer(folder, threads):
    one = OnnxStudent.open(folder, FEATURIZER).logits(["refund", "where is my parcel"])
    assert np.array_equal(OnnxStudent.open(folder, FEATURIZER, threads).logits(["refund", "where is my parcel"]), one)


def test_many_texts_keep_their_order(folder):
    student = OnnxStudent.open(folder, FEATURIZER)
    texts = [f"{'parcel ' * (index % 5)}refund {index}" for index in range(150)]
    scores = student.logits(texts)
    assert np.allclose(scores, np.concatenate([student.logits([text]) for text in texts]), atol=1e-6)
    assert scores.dtype == np.float32


def test_what_was_read_is_scored_without_reading_it_again(folder):
    student, texts = OnnxStudent.open(folder, FEATURIZER), ["refund", "", "where is my parcel"]
    rows = student.read(texts)
    assert [len(row) for row in rows] == [len(student.read([text])[0]) for text in texts]
    assert len(rows[1]) == 1
    assert np.array_equal(student.score(rows), student.logits(texts))


def test_no_texts_give_no_scores(folder):
    assert OnnxStudent.open(folder, FEATURIZER).logits([]).shape == (0, 5)


def test_fields_are_split_and_each_shares_by_itself():
    logits = np.arange(10, dtype=np.float32).reshape(2, 5)
    assert [part.tolist() for part in split_fields(logits, (2, 3))] == [[[0, 1], [5, 6]], [[2, 3, 4], [7, 8, 9]]]
    plain, soft = shares(logits, (2, 3)), shares(logits, (2, 3), (1.0, 2.0))
    assert all(np.allclose(part.sum(axis=1), 1) for part in plain + soft)
    assert np.array_equal(plain[0], soft[0])
    assert np.array_equal(soft[1], softmax(logits[:, 2:], 2.0))


def test_softmax_is_steady_and_softens_with_temperature():
    logits = np.array([[1e4, 0.0], [2.0, 1.0]], dtype=np.float32)
    assert softmax(logits)[0].tolist() == [1, 0]
    assert softmax(logits)[1].tolist() == pytest.approx([0.731059, 0.268941], abs=1e-6)
    assert softmax(logits, 2.0)[1].tolist() == pytest.approx([0.622459, 0.377541], abs=1e-6)
    assert softmax(logits, 2.0).dtype == np.float32


def test_the_likeliest_labels_come_with_the_product_of_their_shares():
    first = np.array([[0.9, 0.1], [0.4, 0.6]], dtype=np.float32)
    second = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], dtype=np.float32)
    labels, confidence = likeliest([first, second])
    assert labels.tolist() == [[0, 2], [1, 0]]
    assert confidence.tolist() == pytest.approx([0.45, 0.6])
