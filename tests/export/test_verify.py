"""How alike two students answer."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.export.verify import Parity, compare


def shares(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_the_same_answers_are_alike():
    fields = [shares([0.9, 0.1], [0.2, 0.8])]
    assert compare(fields, fields) == Parity(1.0, 0.0, 2)


def test_a_row_counts_as_alike_when_every_field_is():
    trained = [shares([0.9, 0.1], [0.2, 0.8]), shares([0.5, 0.3, 0.2], [0.1, 0.2, 0.7])]
    exported = [shares([0.8, 0.2], [0.6, 0.4]), shares([0.2, 0.6, 0.2], [0.1, 0.2, 0.7])]
    parity = compare(trained, exported)
    assert (parity.agreement, parity.rows) == (0.0, 2), "each row differs in another field"
    assert parity.largest_difference == pytest.approx(0.4)


def test_no_rows_are_alike():
    assert compare([np.zeros((0, 3), dtype=np.float32)], [np.zeros((0, 3), dtype=np.float32)]) == Parity(1.0, 0.0, 0)


def test_fields_must_match():
    with pytest.raises(ValueError, match="zip"):
        compare([shares([1.0])], [shares([1.0]), shares([1.0])])
