"""Weights are grouped by rate and decay; the rate rises, falls and never leaves its bounds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.errors import UsageError
from stillhouse.models.layers import blocks
from stillhouse.training.optimizer import SHAPES, layerwise, make_optimizer, make_schedule
from tests.models import tiny
from tests.training import writers
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


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_begins_at_the_peak_and_never_rises(shape):
    left = [SHAPES[shape](done / 50) for done in range(51)]
    assert left[0] == pytest.approx(1)
    assert left == sorted(left, reverse=True)
    assert min(left) >= -1e-12


@pytest.mark.parametrize(
    ("shape", "half", "end"), [("cosine", 0.505, 0.01), ("linear", 0.505, 0.01), ("constant", 1, 1)]
)
def test_a_schedule_has_the_shape_it_is_given(shape, half, end):
    part = nn.Linear(2, 2)
    optimizer = make_optimizer([(part, 1.0)], 1.0, 0.0)
    schedule = make_schedule(optimizer, 100, 0.0, shape)
    rates = []
    for _ in range(101):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[51] == pytest.approx(half, abs=0.02)
    assert rates[100] == pytest.approx(end, abs=1e-3)


def test_an_unknown_shape_is_refused():
    with pytest.raises(UsageError, match="no schedule 'sine'; choose cosine, linear, constant"):
        make_schedule(make_optimizer([(nn.Linear(1, 1), 1.0)], 1.0, 0.0), 10, 0.1, "sine")


@pytest.mark.parametrize("make", [tiny.encoder, writers.writer], ids=["encoder", "language model"])
def test_rates_fall_from_the_last_block_to_the_first(make):
    model = make()
    rates = dict(map(reversed, ((rate, module) for module, rate in layerwise(model, 1.0, 0.5))))
    stack = list(blocks(model))
    assert [rates[block] for block in stack] == [0.5 ** (len(stack) - 1 - at) for at in range(len(stack))]
    assert rates[model] == 0.5 ** len(stack)


def test_every_weight_has_one_of_those_rates_and_a_tied_head_that_of_the_top():
    model = writers.writer()
    model.lm_head.weight = model.model.embed_tokens.weight
    groups = make_optimizer(layerwise(model, 1.0, 0.5), 1.0, 0.01).param_groups
    rate_of = {id(weight): group["lr"] for group in groups for weight in group["params"]}
    assert set(rate_of) == set(map(id, model.parameters()))
    assert sum(len(group["params"]) for group in groups) == len(rate_of)
    assert rate_of[id(model.lm_head.weight)] == 1.0, "the head's rate, as it comes first"
    assert rate_of[id(model.model.layers[0].self_attn.q_proj.weight)] == 0.5
    assert rate_of[id(model.model.norm.weight)] == 0.25


@pytest.mark.parametrize("decay", [0, 1.1, -1])
def test_layers_slow_down_but_do_not_stop(decay):
    with pytest.raises(UsageError, match="decay"):
        layerwise(tiny.encoder(), 1.0, decay)
