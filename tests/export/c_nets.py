"""Small convnets of every form that the C code has, with random weights and used batch norms."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification

SHAPE = (3, 14, 12)
LABELS = 4


class Residual(nn.Module):
    """Two paths that are added, and one map that three layers read."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding="same", bias=False)
        self.short = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, LABELS)

    def forward(self, pixel_values: Tensor) -> Tensor:
        start = torch.relu(self.norm(self.first(pixel_values)))
        found = torch.relu(self.second(start) + self.short(start))
        found = torch.clamp(found + start, max=4.0)
        return self.head(found.mean((2, 3)))


def conv(into: int, out: int, activation: nn.Module, **options) -> list[nn.Module]:
    return [nn.Conv2d(into, out, bias=False, **options), nn.BatchNorm2d(out), activation]


def separable() -> nn.Module:
    return nn.Sequential(
        *conv(3, 8, nn.ReLU6(), kernel_size=3, stride=2, padding=1),
        *conv(8, 8, nn.ReLU(), kernel_size=3, padding=1, groups=8),
        *conv(8, 16, nn.ReLU(), kernel_size=1),
        *conv(16, 16, nn.ReLU(), kernel_size=3, stride=2, padding=1, groups=16),
        *conv(16, 16, nn.ReLU(), kernel_size=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(16, LABELS),
    )


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(3),
        nn.Conv2d(3, 5, (3, 2), stride=(1, 2), padding=(1, 0)),
        nn.MaxPool2d(3, 2, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2, 1, padding=1),
        nn.Conv2d(5, 6, 2),
        nn.BatchNorm2d(6),
        nn.AdaptiveMaxPool2d(1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6, 9),
        nn.ReLU(),
        nn.Linear(9, LABELS),
    )


def flat() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 4, LABELS))


def dense() -> nn.Module:
    size = SHAPE[0] * SHAPE[1] * SHAPE[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, LABELS))


def resnet() -> nn.Module:
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 2], "layer_type": "basic"}
    return ResNetForImageClassification(ResNetConfig(**sizes, num_labels=LABELS, return_dict=True))


NETS = {"separable": separable, "residual": Residual, "pooled": pooled, "flat": flat, "dense": dense, "resnet": resnet}


def net(name: str) -> nn.Module:
    """A net in evaluation mode, after its batch norms saw some values."""
    torch.manual_seed(0)
    made = NETS[name]()
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.normal_(part.weight, 1.0, 0.2)
            nn.init.normal_(part.bias, 0.0, 0.2)
    made.train()
    with torch.no_grad():
        for _ in range(20):
            made(torch.rand(16, *SHAPE) * 2 - 1)
    return made.eval()


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Bytes `[count, height, width, channels]`."""
    channels, height, width = SHAPE
    return np.random.default_rng(seed).integers(256, size=(count, height, width, channels), dtype=np.uint8)
