"""Small plain networks whose channels go on in every way that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import (
    MobileNetV1Config,
    MobileNetV1ForImageClassification,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    PreTrainedModel,
)

from stillhouse.models.inherit import Parts, readers


class Chain(nn.Module):
    """Convolution, norm, activation, pooling; then flattened for a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 12, 3, padding=1)
        self.hidden = nn.Linear(12 * 4 * 4, 16)
        self.out = nn.Linear(16, 5)

    def forward(self, pixels: Tensor) -> Tensor:
        state = torch.relu(self.norm(self.first(pixels)))
        state = nn.functional.max_pool2d(torch.relu(self.second(state)), 2)
        return self.out(torch.relu(self.hidden(state.flatten(1))))


class Shortcut(nn.Module):
    """A residual block, a depthwise convolution, squeeze and excitation, and two branches put side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.inner = nn.Conv2d(8, 12, 1)
        self.back = nn.Conv2d(12, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.squeeze = nn.Linear(8, 4)
        self.excite = nn.Linear(4, 8)
        self.branch = nn.Conv2d(8, 6, 1)
        self.out = nn.Linear(14, 5)

    def forward(self, pixels: Tensor) -> Tensor:
        state = torch.relu(self.stem(pixels))
        state = state + self.back(torch.relu(self.inner(state)))
        state = torch.relu(self.depthwise(state))
        gates = torch.sigmoid(self.excite(torch.relu(self.squeeze(state.mean((2, 3))))))
        state = state * gates[:, :, None, None]
        both = torch.cat([state, torch.relu(self.branch(state))], 1)
        return self.out(nn.functional.adaptive_avg_pool2d(both, 1).flatten(1))


class Unknown(nn.Module):
    """A grouped convolution and an attention, which are not followed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.mix = nn.Conv2d(8, 6, 1)
        self.hidden = nn.Linear(6, 10)
        self.out = nn.Linear(10, 5)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = self.mix(self.grouped(torch.relu(self.stem(pixels)))).flatten(2).transpose(1, 2)
        mixed = torch.softmax(tokens @ tokens.transpose(1, 2), -1) @ tokens
        return self.out(torch.relu(self.hidden(mixed.mean(1))))


class Words(nn.Module):
    """A table of vectors, averaged, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(30, 16)
        self.norm = nn.LayerNorm(16)
        self.hidden = nn.Linear(16, 24)
        self.out = nn.Linear(24, 5)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(nn.functional.gelu(self.hidden(self.norm(self.table(ids)).mean(1))))


def make(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    """A network with random weights and statistics, in evaluation mode."""
    torch.manual_seed(seed)
    model = kind().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                statistics(module)
    return model


def statistics(norm: nn.BatchNorm2d) -> None:
    """Means and variances as data would leave them."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_(std=0.1)
    norm.running_var.uniform_(0.5, 1.5)
    norm.bias.data.normal_(std=0.1)


def pixels(rows: int = 3, size: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(rows, 3, size, size, generator=torch.Generator().manual_seed(seed))


def mobilenet(version: int, seed: int = 0) -> PreTrainedModel:
    """A MobileNet of Transformers with few channels."""
    torch.manual_seed(seed)
    sizes = {"image_size": 32, "depth_multiplier": 0.5, "num_labels": 5}
    if version == 1:
        model: PreTrainedModel = MobileNetV1ForImageClassification(MobileNetV1Config(**sizes))
    else:
        model = MobileNetV2ForImageClassification(MobileNetV2Config(**sizes, finegrained_output=False))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight
                )  # as large as trained weights, so that pictures differ at the end
            if isinstance(module, nn.BatchNorm2d):
                statistics(module)
                module.weight.fill_(2)
    return model.eval()


@torch.no_grad()
def deafen(model: nn.Module, parts: Parts, dead: Mapping[str, Sequence[int]]) -> None:
    """Let whoever reads these members of groups be deaf to them."""
    for layer, sections, _ in readers(model, parts.axes):
        turned = getattr(layer, "transposed", False)
        start = 0
        for section in sections:
            for member in dead.get(section.group, ()):
                inputs = slice(start + member * section.unit, start + (member + 1) * section.unit)
                layer.weight.movedim(0 if turned else 1, 0)[inputs] = 0
            start += parts.members[section.group] * section.unit
