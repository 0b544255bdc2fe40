"""How alike two students answer."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.errors import ExportMismatch, UsageError
from stillhouse.export.verify import (
    Parity,
    Samples,
    Tolerance,
    answers,
    check,
    compare,
    compare_vectors,
    in_turn,
    shares,
)
from tests.export.opened import subject


def table(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_the_same_answers_are_alike():
    fields = [table([0.9, 0.1], [0.2, 0.8])]
    assert compare(fields, fields) == Parity(1.0, 0.0, 2)


def test_a_row_counts_as_alike_when_every_field_is():
    trained = [table([0.9, 0.1], [0.2, 0.8]), table([0.5, 0.3, 0.2], [0.1, 0.2, 0.7])]
    exported = [table([0.8, 0.2], [0.6, 0.4]), table([0.2, 0.6, 0.2], [0.1, 0.2, 0.7])]
    parity = compare(trained, exported)
    assert (parity.agreement, parity.rows) == (0.0, 2), "each row differs in another field"
    assert parity.largest_difference == pytest.approx(0.4)


def test_no_rows_are_alike():
    assert compare([np.zeros((0, 3), dtype=np.float32)], [np.zeros((0, 3), dtype=np.float32)]) == Parity(1.0, 0.0, 0)


def test_fields_must_match():
    with pytest.raises(ValueError, match="zip"):
        compare([table([1.0])], [table([1.0]), table([1.0])])


def test_vectors_are_alike_when_each_row_has_the_same_neighbour():
    vectors = table([1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9])
    assert compare_vectors(vectors, 2 * vectors).agreement == 1, "lengths do not matter to who is nearest"
    moved = vectors.copy()
    moved[0] = [0.05, 0.95]
    parity = compare_vectors(vectors, moved)
    assert parity.agreement == 0
    assert parity.largest_difference == pytest.approx(0.95)
    assert compare_vectors(vectors[:1], vectors[:1]) == Parity(1.0, 0.0, 1)
    assert compare_vectors(vectors[:0], vectors[:0]) == Parity(1.0, 0.0, 0)


def test_what_is_not_alike_enough_is_refused_with_figures():
    good = Parity(0.999, 1e-3, 1_000)
    assert check(good, Tolerance(), "x") is good
    for bad in (Parity(0.99, 0.0, 100), Parity(1.0, 0.01, 100), Parity(1.0, float("nan"), 100)):
        with pytest.raises(ExportMismatch, match=r"The graph does not answer .* on 100 rows"):
            check(bad, Tolerance(), "The graph")


def test_scores_become_probabilities_field_by_field():
    one, two = shares(table([0.0, 0.0, 1e4, 0.0, 0.0]), (2, 3))
    assert one.tolist() == [[0.5, 0.5]]
    assert two.tolist() == [[1.0, 0.0, 0.0]]
    assert len(shares(table([1.0, 2.0]), ())) == 1


def test_rows_come_back_in_their_order():
    rows = [np.full(length, length, dtype=np.int64) for length in (5, 1, 40, 3)] * 6
    found = in_turn(rows, lambda ids, mask: mask.sum(1, keepdims=True).astype(np.float32))
    assert found[:, 0].tolist() == [len(row) for row in rows]


@pytest.mark.parametrize(("kind", "width"), [("bert-classifier", 2), ("bert", 32), ("llama", 60)])
def test_a_row_alone_is_answered_as_among_others(kind, width, tmp_path):
    student = subject(kind, tmp_path)
    rows = tuple(np.arange(4, 4 + length, dtype=np.int64) for length in (3, 9, 1, 6))
    together = answers(student, Samples(ids=rows))
    assert [part.shape for part in together] == [(4, width)]
    for at, row in enumerate(rows):
        assert np.allclose(answers(student, Samples(ids=(row,)))[0][0], together[0][at], atol=1e-5)
    if kind != "bert":
        assert np.allclose(together[0].sum(1), 1, atol=1e-5)


def test_images_are_answered_and_texts_are_none(tmp_path):
    student = subject("vit", tmp_path)
    pixels = np.random.default_rng(0).standard_normal((20, 3, 16, 16), dtype=np.float32)
    assert answers(student, Samples(pixels=pixels))[0].shape == (20, 5)
    with pytest.raises(UsageError, match="reads images"):
        answers(student, Samples(ids=(np.ones(3, dtype=np.int64),)))
