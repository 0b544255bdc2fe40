"""Image students in C say, bit for bit, what numpy says of the same whole numbers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stillhouse.export.c_build import Program
from stillhouse.export.c_image import image_source, place_maps
from stillhouse.export.c_integer import Look, Network, quantise, run_network
from stillhouse.export.c_layers import read_layers
from stillhouse.export.c_source import Answers
from tests.export.c_nets import LABELS, NETS, SHAPE, net, pictures
from tests.export.c_programs import compiler, written

ANSWERS = Answers((tuple(f"label {at}" for at in range(LABELS)),), (1.0,))


def network(name: str) -> Network:
    return quantise(read_layers(net(name), SHAPE), SHAPE, Look((0.4, 0.5, 0.6), (0.2, 0.3, 0.25)), pictures(64))


@pytest.mark.parametrize("name", NETS)
def test_c_computes_what_numpy_computes(name, tmp_path):
    made = network(name)
    extreme = np.stack([np.full(pictures(1).shape[1:], value, dtype=np.uint8) for value in (0, 128, 255)])
    given = np.concatenate([pictures(40, seed=2), extreme])
    with Program(written(image_source(made, ANSWERS), tmp_path), compiler(), sanitize=True) as program:
        found = program.scores(given.tobytes())
    assert np.array_equal(found * 2**16, run_network(made, given))


@pytest.mark.parametrize("name", NETS)
def test_maps_that_are_needed_together_lie_apart(name):
    made = network(name)
    places, size = place_maps(made)
    sizes = {0: np.prod(SHAPE)} | {
        step.layer.output: np.prod(step.layer.after) for step in made.steps if step.to is not None
    }
    last_use = {
        number: max([at for at, step in enumerate(made.steps) if number in step.layer.inputs]) for number in places
    }
    for at, step in enumerate(made.steps):
        born = {0: -1} | {one.layer.output: here for here, one in enumerate(made.steps)}
        live = [number for number in places if born[number] <= at <= last_use[number]]
        spans = sorted((places[number], places[number] + sizes[number]) for number in live)
        assert all(first[1] <= second[0] for first, second in pairwise(spans)), step
        assert spans[-1][1] <= size


def test_a_plain_chain_takes_no_more_than_its_two_largest_neighbours():
    made = network("separable")
    sizes = [int(np.prod(SHAPE)), *(int(np.prod(step.layer.after)) for step in made.steps[:-1])]
    assert place_maps(made)[1] == max(one + other for one, other in pairwise(sizes))
