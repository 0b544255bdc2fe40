"""Whole numbers stay near the student's own, and grids hold what they must."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.export.c_integer import Grid, Look, quantise, run_network
from stillhouse.export.c_layers import read_layers
from tests.export.c_nets import NETS, SHAPE, net, pictures


@pytest.mark.parametrize("name", NETS)
def test_scores_are_near_the_students_own(name):
    module, look = net(name), Look((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    network = quantise(read_layers(module, SHAPE), SHAPE, look, pictures(64))
    new = pictures(40, seed=1)
    with torch.no_grad():
        said = module(look.seen(new))
    expected = getattr(said, "logits", said).numpy()
    found = run_network(network, new) / 2**16
    spread = np.abs(expected - expected.mean(0)).mean()
    assert np.abs(found - expected).mean() < 0.15 * spread + 0.01


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_a_grid_holds_nothing_exactly_and_its_ends_nearly(one, other):
    low, high = sorted((one, other))
    grid = Grid.over(low, high)
    assert -128 <= grid.zero <= 127
    assert grid.nearest(0.0) == grid.zero
    assert (grid.nearest(float("-inf")), grid.nearest(float("inf"))) == (-128, 127)
    for end in (min(low, 0), max(high, 0)):
        assert abs(grid.scale * (grid.nearest(end) - grid.zero) - end) <= 1.001 * grid.scale


def test_grey_bytes_are_taken_as_they_are():
    layers = read_layers(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), (1, 2, 2))
    network = quantise(layers, (1, 2, 2), Look(), np.zeros((2, 2, 2, 1), dtype=np.uint8))
    assert network.pixels[:, 0].tolist() == [2**16]


def test_it_repeats_and_needs_pictures():
    layers = read_layers(net("separable"), SHAPE)
    one, two = (quantise(layers, SHAPE, Look(), pictures(32)) for _ in range(2))
    assert one.grids == two.grids
    assert all(np.array_equal(a.constants, b.constants) for a, b in zip(one.steps, two.steps, strict=True))
    with pytest.raises(UsageError, match="no pictures"):
        quantise(layers, SHAPE, Look(), pictures(0))
