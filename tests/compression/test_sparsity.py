"""Masks leave out what matters least, are put on exactly, and zeros are counted as they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.compression.sparsity import apply_masks, find_masks, measure_sparsity
from stillhouse.errors import UsageError
from stillhouse.models.cost import parameters
from tests.models import kinds, nets


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def test_the_smallest_of_a_matrix_go():
    model = network()
    kept = find_masks(model, 0.25)["0.weight"]
    matters = model[0].weight.detach().abs()
    assert int((~kept).sum()) == 32
    assert float(matters[~kept].max()) < float(matters[kept].min())


def test_on_data_those_go_that_say_least_of_each_output():
    model, given = network(), torch.randn(20, 8) * torch.tensor([9.0, 1, 1, 1, 1, 1, 1, 0.01])
    kept = find_masks(model, 0.5, [given])["0.weight"]
    matters = model[0].weight.detach().abs() * given.square().sum(0).sqrt()
    assert (kept.sum(1) == 4).all()
    assert all(float(row[~mask].max()) < float(row[mask].min()) for row, mask in zip(matters, kept, strict=True))
    assert not kept[:, 7].any()


@pytest.mark.parametrize("given", [None, [torch.randn(20, 8, generator=torch.Generator().manual_seed(0))]])
def test_of_every_four_two_stay(given):
    model = network()
    masks = find_masks(model, "2:4", given)
    assert all((kept.unflatten(1, (-1, 4)).sum(-1) == 2).all() for kept in masks.values())
    apply_masks(model, masks)
    found = measure_sparsity(model)
    assert found.two_of_four == {"0.weight", "2.weight"}
    assert found.matrices == {"0.weight": 0.5, "2.weight": 0.5}


def test_of_a_rest_of_fewer_than_four_all_stay():
    model = nn.Linear(6, 3)
    kept = find_masks(nn.Sequential(model), "2:4")["0.weight"]
    assert (kept.sum(1) == 4).all()
    assert kept[:, 4:].all()


@pytest.mark.parametrize("kind", ["gpt2", "bert-classifier", "resnet-basic"])
def test_models_of_all_kinds_keep_their_size_and_lose_what_is_told(kind):
    model = kinds.make(kind)
    before = parameters(model)
    masks = find_masks(model, 0.5, [kinds.inputs(model)])
    apply_masks(model, masks)
    found = measure_sparsity(model)
    assert parameters(model) == before == found.weights
    assert all(found.matrices[name] == pytest.approx(0.5, abs=0.13) for name in masks)
    assert found.zeros == sum(int((weight == 0).sum()) for weight in model.parameters())
    assert found.share < 0.51
    assert torch.isfinite(kinds.answer(model, kinds.inputs(model))).all()


def test_the_inputs_of_a_turned_matrix_lie_on_its_first_axis():
    model = kinds.make("gpt2")
    kept = find_masks(model, "2:4")["transformer.h.0.mlp.c_fc.weight"]
    assert (kept.T.unflatten(1, (-1, 4)).sum(-1) == 2).all()
    apply_masks(model, find_masks(model, "2:4"))
    assert "transformer.h.0.mlp.c_fc.weight" in measure_sparsity(model).two_of_four


def test_layers_can_be_left_dense():
    model = network()
    assert set(find_masks(model, 0.5, skip=[model[2]])) == {"0.weight"}
    assert "lm_head.weight" not in find_masks(kinds.make("gpt2"), 0.5)  # it is the table of tokens
    assert "lm_head.weight" in find_masks(kinds.make("llama"), 0.5)


def test_zeros_that_nobody_made_are_counted_too():
    model = network()
    with torch.no_grad():
        model[0].weight[:, 0] = 0
        model[0].bias.zero_()
    found = measure_sparsity(model)
    assert (found.zeros, found.weights) == (32, parameters(model))
    assert found.share == 32 / parameters(model)
    assert found.two_of_four == frozenset()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda: find_masks(network(), 1.0), "A share of 1.0 zeros cannot be had"),
        (lambda: find_masks(network(), 0.5, []), "There is no batch to see inputs on"),
        (
            lambda: apply_masks(nets.make(nets.Chain), find_masks(network(), 0.5)),
            r"The masks are of another model: 0.weight is \[16, 8\] there, and here no such weight",
        ),
    ],
)
def test_what_cannot_be_is_refused(asked, told):
    with pytest.raises(UsageError, match=told):
        asked()
