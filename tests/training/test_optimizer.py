"""Weights are grouped by rate and decay; the rate rises, falls and never leaves its bounds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.training.optimizer import make_optimizer, make_schedule
from tests.training.pupils import FAMILIES, pupil


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_is_in_one_group_and_only_matrices_decay(family):
    student = pupil(family)
    groups = make_optimizer(student.learning_rates(), 2.0, 0.01).param_groups
    grouped = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(grouped) == sorted(map(id, student.parameters()))
    for group in groups:
        assert {weight.ndim > 1 for weight in group["params"]} == {group["weight_decay"] > 0}
    assert {group["lr"] for group in groups} == {2 * rate for _, rate in student.learning_rates()}


def test_frozen_weights_are_left_out():
    frozen, free = nn.Linear(3, 3), nn.Linear(3, 3)
    frozen.requires_grad_(False)
    groups = make_optimizer([(frozen, 1.0), (free, 1.0)], 1.0, 0.01).param_groups
    assert {id(weight) for group in groups for weight in group["params"]} == set(map(id, free.parameters()))


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.1), (10, 0.0), (3, 0.1), (7, 1.0)])
def test_the_rate_rises_to_its_peak_and_falls_to_a_hundredth(steps, warmup):
    part = nn.Linear(2, 2)
    optimizer = make_optimizer([(part, 1.0)], 1.0, 0.0)
    schedule = make_schedule(optimizer, steps, warmup)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        part(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        schedule.step()
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert min(rates) > 0
    if warmup < 1:
        assert schedule.get_last_lr()[0] == pytest.approx(0.01)
