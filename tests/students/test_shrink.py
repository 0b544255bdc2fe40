"""A smaller encoder inherits weights and leaves the larger one as it was."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.layers import blocks
from stillhouse.students.shrink import shrink
from tests.models import tiny

every_architecture = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


@every_architecture
def test_all_layers_kept_answers_the_same(architecture):
    model, ids = tiny.encoder(architecture), tiny.ids(3, 10)
    assert torch.equal(tiny.states(shrink(model, tiny.BLOCKS), ids), tiny.states(model, ids))


@every_architecture
def test_a_smaller_one_runs_and_the_larger_stays(architecture):
    model, ids = tiny.encoder(architecture), tiny.ids(3, 10)
    before = tiny.states(model, ids)
    smaller = shrink(model, 2)
    assert tiny.states(smaller, ids).shape == before.shape
    assert (len(blocks(smaller)), smaller.config.num_hidden_layers) == (2, 2)
    with torch.no_grad():
        for weight in smaller.parameters():
            weight.zero_()
    assert torch.equal(tiny.states(model, ids), before)
    assert (len(blocks(model)), model.config.num_hidden_layers) == (tiny.BLOCKS, tiny.BLOCKS)


def test_shrinking_twice_is_fine():
    model, ids = tiny.encoder(), tiny.ids(2, 6)
    assert torch.equal(tiny.states(shrink(shrink(model, 2), 1), ids), tiny.states(shrink(model, 1), ids))


def test_more_layers_than_there_are_cannot_be_kept():
    with pytest.raises(UsageError, match="A student of 4 layers cannot be cut from an encoder of 3"):
        shrink(tiny.encoder(), 4)
