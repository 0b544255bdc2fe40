"""Objectives add and scale as they read."""

from __future__ import annotations

import torch

from stillhouse.objectives.combine import WeightedSum
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.signals.kinds import Kind
from tests.objectives.matters import matter


def test_a_sum_needs_what_its_terms_need():
    assert (ForwardKL() + CrossEntropy()).needs == {Kind.LOGITS, Kind.WORDS}
    assert (2 * CrossEntropy()).needs == {Kind.WORDS}


def test_a_sum_keeps_each_terms_total_and_count():
    given = matter()
    loss = (0.7 * ForwardKL(2) + 0.3 * CrossEntropy())(*given)
    one, other = ForwardKL(2)(*given), CrossEntropy()(*given)
    assert torch.allclose(loss.total, torch.stack([0.7 * one.total, 0.3 * other.total]))
    assert torch.equal(loss.count, torch.stack([one.count, other.count]))


def test_sums_may_be_written_in_any_way():
    flat = WeightedSum(((1.0, ForwardKL()), (0.5, CrossEntropy()), (2.0, ForwardKL(4))))
    assert ForwardKL() + 0.5 * CrossEntropy() + 2 * ForwardKL(4) == flat
    assert ForwardKL() + (0.5 * CrossEntropy() + ForwardKL(4) * 2) == flat
    assert 2 * (0.5 * ForwardKL() + CrossEntropy() * 0.25 + ForwardKL(4)) == flat
