"""Channels are followed through a network, and a copy with fewer of them has whole layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.models.channels import channels, keep_channels
from stillhouse.models.cost import parameters
from tests.models import nets

EXAMPLES = {
    nets.Chain: nets.pixels(),
    nets.Shortcut: nets.pixels(),
    nets.Unknown: nets.pixels(),
    nets.Words: torch.arange(12).view(2, 6),
}
every_net = pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)


@pytest.mark.parametrize(
    ("kind", "members", "fixed"),
    [
        (nets.Chain, {"first": 8, "second": 12, "hidden": 16}, set()),
        (nets.Shortcut, {"stem": 8, "inner": 12, "squeeze": 4, "branch": 6}, set()),
        (nets.Unknown, {"hidden": 10}, set()),
        (nets.Words, {"table": 16, "hidden": 24}, set()),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_channels_that_belong_together_are_one_group(kind, members, fixed):
    found = channels(nets.make(kind), EXAMPLES[kind])
    assert (dict(found.members), set(found.fixed)) == (members, fixed)


@every_net
def test_looking_changes_nothing(kind):
    model = nets.make(kind).train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    torch.manual_seed(3)
    channels(model, EXAMPLES[kind])
    assert model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@every_net
def test_all_channels_kept_answers_the_same(kind):
    model = nets.make(kind)
    found = channels(model, EXAMPLES[kind])
    same = keep_channels(model, found, {group: torch.arange(count) for group, count in found.members.items()})
    assert torch.equal(same(EXAMPLES[kind]), model(EXAMPLES[kind]))
    assert str(same) == str(model)


@pytest.mark.parametrize("kind", [nets.Chain, nets.Shortcut, nets.Unknown], ids=lambda kind: kind.__name__)
def test_channels_that_give_nothing_can_go_and_nothing_changes(kind):
    model = nets.make(kind)
    found = channels(model, EXAMPLES[kind])
    kept = {group: torch.arange(0, count, 2) for group, count in found.members.items()}
    nets.deafen(model, found, {group: range(1, count, 2) for group, count in found.members.items()})
    smaller = keep_channels(model, found, kept)
    assert torch.allclose(smaller(EXAMPLES[kind]), model(EXAMPLES[kind]), atol=1e-5)
    assert parameters(smaller) < 0.8 * parameters(model)


def test_layers_say_the_sizes_that_they_have():
    model = nets.make(nets.Shortcut)
    found = channels(model, EXAMPLES[nets.Shortcut])
    smaller = keep_channels(model, found, {group: torch.arange(3) for group in found.members})
    assert (smaller.stem.out_channels, smaller.inner.in_channels, smaller.out.in_features) == (3, 3, 6)
    assert (smaller.depthwise.groups, smaller.depthwise.in_channels, smaller.depthwise.out_channels) == (3, 3, 3)
    words = nets.make(nets.Words)
    found = channels(words, EXAMPLES[nets.Words])
    smaller = keep_channels(words, found, {"table": torch.arange(5), "hidden": torch.arange(7)})
    assert (smaller.table.embedding_dim, smaller.norm.normalized_shape, smaller.hidden.in_features) == (5, (5,), 5)
    chain = nets.make(nets.Chain)
    found = channels(chain, EXAMPLES[nets.Chain])
    kept = {group: torch.arange(4) for group in found.members}
    smaller = keep_channels(chain, found, kept)
    assert (smaller.norm.num_features, len(smaller.norm.running_mean), smaller.hidden.in_features) == (4, 4, 64)
    assert smaller(nets.pixels()).shape == (3, 5)


def test_tied_weights_stay_tied_and_frozen_ones_frozen():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 2))
    model[4].weight = model[2].weight
    model[0].weight.requires_grad_(False)
    found = channels(model, torch.randn(2, 4))
    smaller = keep_channels(model, found, {group: torch.arange(3) for group in found.members})
    assert smaller[4].weight is smaller[2].weight
    assert smaller[4].weight.shape == (3, 3)
    assert (smaller[0].weight.requires_grad, smaller[2].weight.requires_grad) == (False, True)
    assert smaller(torch.randn(2, 4)).shape == (2, 2)


def test_what_comes_out_is_not_cut():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    assert channels(model, torch.randn(2, 4)).members == {}


@pytest.mark.parametrize("version", [1, 2])
def test_mobilenets_of_transformers_are_followed(version):
    model = nets.mobilenet(version)
    found = channels(model, {"pixel_values": nets.pixels(1, 32)})
    assert len(found.members) > 10
    assert not found.fixed
    assert {axis for axes in found.axes.values() for axis in axes} == {0, 1}
