"""Layers are read from any module and compute what it computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.errors import UsageError
from stillhouse.export.c_layers import read_layers, run_layers
from tests.export.c_nets import NETS, SHAPE, net


@pytest.mark.parametrize("name", NETS)
def test_they_compute_what_the_module_computes(name):
    module = net(name)
    layers = read_layers(module, SHAPE)
    values = torch.randn(5, *SHAPE)
    with torch.no_grad():
        said = module(values)
        found = run_layers(layers, values)[layers[-1].output][:, :, 0, 0]
    expected = getattr(said, "logits", said)
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max() + 1))


def test_norms_and_activations_are_taken_in():
    assert [layer.kind for layer in read_layers(net("separable"), SHAPE)] == [
        "conv", "depthwise", "conv", "depthwise", "conv", "mean", "conv"
    ]  # fmt: skip
    bounds = [layer.bounds for layer in read_layers(net("separable"), SHAPE)]
    assert bounds[0] == (0.0, 6.0)
    assert bounds[1] == (0.0, float("inf"))


class Odd(nn.Module):
    """What the C code does not have, one thing at a time."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.one = nn.Conv2d(3, 6, 3, groups=3 if kind == "groups" else 1, dilation=2 if kind == "holes" else 1)
        self.last = nn.Linear(6, 4)

    def forward(self, values: Tensor) -> Tensor:
        found = self.one(values)
        if self.kind == "sigmoid":
            found = found.sigmoid()
        if self.kind == "broadcast":
            found = found + found.mean((2, 3), keepdim=True)
        if self.kind == "uneven":
            found = functional.avg_pool2d(found, 3, 2, ceil_mode=True)
        if self.kind == "branch" and values.sum() > 0:
            found = found * 2
        found = self.last(found.mean((2, 3)))
        return found.softmax(-1) if self.kind == "softmax" else found.relu() if self.kind == "relu" else found


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("groups", "3 groups"),
        ("holes", "dilation"),
        ("sigmoid", "sigmoid, which the C code does not have"),
        ("broadcast", "Only two maps of one shape"),
        ("uneven", "rounded up"),
        ("softmax", "softmax"),
        ("relu", "raw scores"),
        ("branch", "cannot be traced"),
    ],
)
def test_what_c_does_not_have_is_refused(kind, told):
    with pytest.raises(UsageError, match=told):
        read_layers(Odd(kind), SHAPE)


def test_the_last_layer_must_give_scores():
    with pytest.raises(UsageError, match="last layer"):
        read_layers(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), SHAPE)
