"""Samples become padded batches; logits side by side become one row of labels per field."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from stillhouse.errors import UsageError
from stillhouse.models.outputs import ABSENT, Layers
from stillhouse.tasks.classification import Classification, to_positions
from tests.models import tiny

IDS = [np.array([5, 6, 7]), np.array([8]), np.array([9, 4])]
TASK = Classification(IDS, np.array([[0, 2], [1, -1], [-1, 0]]), (2, 3))


class Says(nn.Module):
    """Says what it was made with, whatever it reads."""

    def __init__(self, raw: torch.Tensor) -> None:
        super().__init__()
        self.raw = raw

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.raw


def said(raw: torch.Tensor):
    return TASK.output(Says(raw), TASK.batch([0]), Layers())


def test_a_batch_holds_its_rows_in_order_padded_to_a_multiple_of_four():
    batch = TASK.batch([2, 0])
    assert batch.inputs["input_ids"].tolist() == [[9, 4, 0, 0], [5, 6, 7, 0]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0]]
    assert batch.labels.tolist() == [[-1, 0], [0, 2]]
    assert batch.rows.tolist() == [2, 0]


def test_lengths_are_in_tokens():
    assert [TASK.length(row) for row in range(3)] == [3, 1, 2]


def test_a_field_with_fewer_labels_is_filled_with_absent_ones():
    raw = torch.arange(5.0).unsqueeze(0)
    assert said(raw).logits.tolist() == [[[0, 1, ABSENT], [2, 3, 4]]]
    assert to_positions(raw, (5,)).tolist() == [[[0, 1, 2, 3, 4]]]


def test_an_absent_label_has_no_probability():
    shares = said(torch.zeros(1, 5)).logits.softmax(-1)
    assert shares[0, 0].tolist() == [0.5, 0.5, 0]


def classifier() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**tiny.SIZES, num_labels=5)).eval()


def test_a_model_of_transformers_answers_and_what_enters_its_last_layer_is_the_embedding():
    model, batch = classifier(), TASK.batch([0, 1])
    said = TASK.output(model, batch, Layers(hidden=frozenset({0}), embedding=True))
    assert torch.equal(said.logits, to_positions(model(**batch.inputs).logits, (2, 3)))
    assert torch.allclose(model.classifier(said.features.embedding), model(**batch.inputs).logits, atol=1e-6)
    assert said.features.hidden[0].shape == (2, 4, 32)


def test_a_model_of_other_labels_is_refused():
    wrong = Classification(IDS, np.zeros((3, 1), dtype=np.int64), (4,))
    with pytest.raises(UsageError, match=r"\[1, 5\], where \[rows, 4\]"):
        wrong.output(classifier(), wrong.batch([0]), Layers())
    with pytest.raises(UsageError, match="no logits"):
        wrong.output(tiny.encoder(), wrong.batch([0]), Layers())


def test_short_rows_are_filled_with_the_tasks_padding():
    filled = Classification(IDS, np.zeros((3, 1), dtype=np.int64), (2,), padding=9)
    assert filled.batch([1]).inputs["input_ids"].tolist() == [[8, 9, 9, 9]]
