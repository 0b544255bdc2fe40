"""Sums of losses add over chunks."""

from __future__ import annotations

import torch

from stillhouse.models.outputs import Layers
from stillhouse.objectives.objective import LossSum, Taps


def test_totals_and_counts_add():
    added = LossSum(torch.tensor([1.0, 2.0]), torch.tensor([3, 4])) + LossSum(
        torch.tensor([0.5, 0.0]), torch.tensor([1, 0])
    )
    assert added.total.tolist() == [1.5, 2.0]
    assert added.count.tolist() == [4, 4]


def test_taps_of_several_objectives_add_up():
    one = Taps(Layers(hidden=frozenset({0})), Layers(hidden=frozenset({2})))
    both = one | Taps(Layers(hidden=frozenset({1})))
    assert both == Taps(Layers(hidden=frozenset({0, 1})), Layers(hidden=frozenset({2})))
