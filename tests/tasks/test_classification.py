"""Samples become padded batches; logits side by side become one row of labels per field."""

from __future__ import annotations

import numpy as np
import torch

from stillhouse.models.outputs import ABSENT
from stillhouse.tasks.classification import Classification, split_fields, to_positions

IDS = [np.array([5, 6, 7]), np.array([8]), np.array([9, 4])]
TASK = Classification(IDS, np.array([[0, 2], [1, -1], [-1, 0]]), (2, 3))


def test_a_batch_holds_its_rows_in_order_padded_to_a_multiple_of_four():
    batch = TASK.batch([2, 0])
    assert batch.input_ids.tolist() == [[9, 4, 0, 0], [5, 6, 7, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0]]
    assert batch.labels.tolist() == [[-1, 0], [0, 2]]
    assert batch.rows.tolist() == [2, 0]


def test_lengths_are_in_tokens():
    assert [TASK.length(row) for row in range(3)] == [3, 1, 2]


def test_a_field_with_fewer_labels_is_filled_with_absent_ones():
    raw = torch.arange(5.0).unsqueeze(0)
    assert TASK.output(raw).logits.tolist() == [[[0, 1, ABSENT], [2, 3, 4]]]
    assert to_positions(raw, (5,)).tolist() == [[[0, 1, 2, 3, 4]]]


def test_an_absent_label_has_no_probability():
    shares = TASK.output(torch.zeros(1, 5)).logits.softmax(-1)
    assert shares[0, 0].tolist() == [0.5, 0.5, 0]


def test_fields_can_be_split_without_filling():
    fields = split_fields(np.arange(10, dtype=np.float32).reshape(2, 5), (2, 3))
    assert [part.tolist() for part in fields] == [[[0, 1], [5, 6]], [[2, 3, 4], [7, 8, 9]]]
