"""The words student: a sum over n-grams."""

from __future__ import annotations

import math

import torch

from stillhouse.students.words import WordsStudent


def test_it_starts_knowing_nothing():
    assert WordsStudent(10, 3)(torch.tensor([[1, 2]]), torch.ones(1, 2, dtype=torch.long)).tolist() == [[0, 0, 0]]


def test_logits_are_the_sum_over_root_length_plus_a_bias():
    made = WordsStudent(4, 2)
    with torch.no_grad():
        made.table.weight.copy_(torch.arange(8.0).reshape(4, 2))
        made.bias.copy_(torch.tensor([10.0, 20.0]))
    logits = made(torch.tensor([[1, 3, 0]]), torch.tensor([[1, 1, 0]]))
    expected = torch.tensor([[(2 + 6) / math.sqrt(2) + 10, (3 + 7) / math.sqrt(2) + 20]])
    assert torch.allclose(logits, expected)
