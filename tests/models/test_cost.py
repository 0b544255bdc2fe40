"""Weights are counted as they are stored."""

from __future__ import annotations

from torch import nn

from stillhouse.models.cost import parameters


def test_every_weight_counts():
    assert parameters(nn.Linear(3, 5)) == 3 * 5 + 5


def test_a_shared_weight_counts_once():
    tied = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
    tied[1].weight = tied[0].weight
    assert parameters(tied) == 16


def test_frozen_weights_count_too():
    frozen = nn.Linear(2, 2, bias=False)
    frozen.requires_grad_(False)
    assert parameters(frozen) == 4
