"""Each operation's rule: what it leaves of channels, and what it makes one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stillhouse.models.channels import channels
from stillhouse.models.inherit import Section


class Between(nn.Module):
    """A convolution of six channels, something after it, and a layer that reads it."""

    def __init__(self, after, reads: nn.Module) -> None:
        super().__init__()
        self.first, self.after, self.reads = nn.Conv2d(3, 6, 1), after, reads

    def forward(self, pixels: Tensor) -> Tensor:
        return self.reads(self.after(self.first(pixels)))


def held(after, reads: nn.Module) -> tuple[Section, ...]:
    """What the layer that reads is found to hold."""
    found = channels(Between(after, reads), torch.randn(2, 3, 4, 4))
    return found.axes.get("reads.weight", {}).get(1, ())


ONE = (Section("first"),)
FLAT = (Section("first", 16),)


@pytest.mark.parametrize(
    ("after", "reads", "expected"),
    [
        (nn.ReLU(inplace=True), nn.Conv2d(6, 2, 1), ONE),
        (nn.Hardswish(), nn.Conv2d(6, 2, 1), ONE),
        (nn.Dropout(0.5), nn.Conv2d(6, 2, 1), ONE),
        (nn.AvgPool2d(2), nn.Conv2d(6, 2, 1), ONE),
        (nn.Upsample(scale_factor=2), nn.Conv2d(6, 2, 1), ONE),
        (lambda state: nn.functional.pad(state, (1, 1, 1, 1)), nn.Conv2d(6, 2, 1), ONE),
        (lambda state: state[:, :, 1:], nn.Conv2d(6, 2, 1), ONE),
        (lambda state: 2 * state + 1, nn.Conv2d(6, 2, 1), ONE),
        (lambda state: state + state.mean((2, 3), keepdim=True), nn.Conv2d(6, 2, 1), ONE),
        (lambda state: torch.cat([state, state], 1), nn.Conv2d(12, 2, 1), ONE * 2),
        (lambda state: state.permute(0, 2, 3, 1), nn.Linear(6, 2), ONE),
        (lambda state: state.mean((2, 3)), nn.Linear(6, 2), ONE),
        (lambda state: state.amax((2, 3), keepdim=True).squeeze(-1).squeeze(-1), nn.Linear(6, 2), ONE),
        (nn.Flatten(), nn.Linear(96, 2), FLAT),
        (lambda state: state.flatten(1).view(2, 6, 4, 4), nn.Conv2d(6, 2, 1), ONE),
        (lambda state: state.permute(0, 2, 3, 1).flatten(1), nn.Linear(96, 2), ONE * 16),
        (lambda state: state.flatten(2).transpose(1, 2), nn.Linear(6, 2), ONE),
        (lambda state: state[:, 1:], nn.Conv2d(5, 2, 1), ()),
        (lambda state: state.sum(1, keepdim=True), nn.Conv2d(1, 2, 1), ()),
        (lambda state: state.softmax(1), nn.Conv2d(6, 2, 1), ()),
        (lambda state: state + torch.ones(6, 1, 1), nn.Conv2d(6, 2, 1), ()),
        (lambda state: state.view(2, 2, 3, 4, 4).transpose(1, 2).reshape(2, 6, 4, 4), nn.Conv2d(6, 2, 1), ()),
        (nn.GroupNorm(2, 6), nn.Conv2d(6, 2, 1), ()),
        (nn.ConvTranspose2d(6, 6, 2, stride=2), nn.Conv2d(6, 2, 1), (Section("after"),)),
    ],
)
def test_what_an_operation_leaves(after, reads, expected):
    assert held(after, reads) == expected


def test_a_transposed_convolution_holds_its_inputs_first():
    found = channels(Between(nn.ConvTranspose2d(6, 4, 2, stride=2), nn.Conv2d(4, 2, 1)), torch.randn(2, 3, 4, 4))
    assert found.axes["after.weight"] == {0: ONE, 1: (Section("after"),)}


def test_a_depthwise_convolution_with_more_filters_keeps_those_of_a_channel_together():
    after = nn.Conv2d(6, 12, 3, groups=6)
    found = channels(Between(after, nn.Conv2d(12, 2, 1)), torch.randn(2, 3, 4, 4))
    assert found.axes["after.weight"] == {0: (Section("first", 2),)}
    assert found.axes["reads.weight"] == {1: (Section("first", 2),)}


def test_a_weight_of_one_entry_a_channel_is_cut_with_them():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.scale, self.reads = nn.Linear(3, 6), nn.Parameter(torch.ones(6)), nn.Linear(6, 2)

        def forward(self, given: Tensor) -> Tensor:
            return self.reads(self.first(given) * self.scale)

    assert channels(Scaled(), torch.randn(2, 3)).axes["scale"] == {0: (Section("first"),)}


def test_sequences_and_layers_without_bias_are_followed():
    model = nn.Sequential(nn.Linear(3, 6, bias=False), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 2))
    found = channels(model, torch.randn(2, 5, 3))
    assert found.axes["3.weight"] == {1: (Section("0"),)}
    assert found.axes["1.bias"] == {0: (Section("0"),)}
