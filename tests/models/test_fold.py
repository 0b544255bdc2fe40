"""Batch norms become part of the convolutions that they follow, and answers stay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.errors import UsageError
from stillhouse.models.fold import fold_norms


def living(model: nn.Module) -> nn.Module:
    """A model whose norms have seen something, and have gains and shifts of their own."""
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    for _ in range(5):
        model.train()(torch.randn(8, 3, 9, 9))
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in model.modules())


class Residual(nn.Module):
    """A convolution, its norm, and beside them what is given."""

    def __init__(self, early: bool) -> None:
        super().__init__()
        self.norm, self.conv, self.early = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3, padding=1), early

    def forward(self, input):
        made = self.conv(input)
        return self.norm(made) + (made if self.early else input)


@pytest.mark.parametrize("bias", [True, False])
def test_answers_stay_and_the_norms_are_gone(bias):
    model = nn.Sequential(nn.Conv2d(3, 6, 3, bias=bias), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=2))
    model = living(nn.Sequential(*model, nn.BatchNorm2d(6)))
    other = torch.randn(5, 3, 9, 9)
    before = model(other)
    assert fold_norms(model, {"input": torch.randn(2, 3, 9, 9)}) is model
    assert norms(model) == 0
    assert torch.allclose(model(other), before, atol=1e-5)


def test_which_norm_follows_is_seen_and_not_told_by_the_order_of_the_parts():
    model = living(Residual(early=False))
    other = torch.randn(5, 3, 9, 9)
    before = model(other)
    fold_norms(model, {"input": other[:2]})
    assert norms(model) == 0
    assert torch.allclose(model(other), before, atol=1e-5)


def test_a_norm_that_follows_no_convolution_stays():
    model = living(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)))
    fold_norms(model, {"input": torch.randn(2, 3, 9, 9)})
    assert norms(model) == 2


def test_a_norm_that_is_used_twice_stays():
    norm = nn.BatchNorm2d(3)
    model = living(nn.Sequential(nn.Conv2d(3, 3, 1), norm, nn.Conv2d(3, 3, 1), norm))
    fold_norms(model, {"input": torch.randn(2, 3, 9, 9)})
    assert model[1] is norm


def test_where_something_else_reads_the_convolution_all_stays_as_it_was():
    model = living(Residual(early=True))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UsageError, match="something else reads"):
        fold_norms(model, {"input": torch.randn(2, 3, 9, 9)})
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert norms(model) == 1
