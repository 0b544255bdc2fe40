"""One task of each kind, with a model that can answer it and an objective that it can learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from stillhouse.objectives import EmbeddingCosine, ForwardKL
from stillhouse.students.encoder import EncoderStudent
from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.classification import Classification
from stillhouse.tasks.embedding import EmbeddingTask
from stillhouse.tasks.image import Augmentation, ImageTask, read_images
from tests.models import tiny
from tests.models.writers import TOKENS, writer

ROWS = 8
RANDOM = np.random.default_rng(0)
IDS = [RANDOM.integers(4, tiny.TOKENS, length) for length in (5, 9, 2, 7, 12, 3, 8, 6)]
FLAGS = [np.arange(len(ids)) >= len(ids) // 2 for ids in IDS]
LABELS = RANDOM.integers(-1, 3, size=(ROWS, 1))


@dataclass(frozen=True)
class Case:
    """A task, models for it by seed, and an objective of what the teacher tells."""

    task: Any
    model: Callable[[int], nn.Module]
    objective: Any
    labels: int | None


def head_over(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return EncoderStudent(tiny.encoder(seed=seed), 3).eval()


class Net(nn.Module):
    """Two blocks of convolutions of nobody's library."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3)])
        self.head = nn.Linear(6 * 4, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            pixels = block(pixels).relu()
        return self.head(pixels.flatten(1))


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Net().eval()


def images(augmentation: Augmentation) -> ImageTask:
    pixels = np.random.default_rng(1).integers(256, size=(ROWS, 6, 6), dtype=np.uint8)
    return read_images(pixels, LABELS[:, 0].tolist(), 3, augmentation=augmentation)


CASES = {
    "classification": Case(Classification(IDS, LABELS, (3,)), head_over, ForwardKL(), 3),
    "chat": Case(ChatTask(IDS, FLAGS, 60), lambda seed: writer("gemma2 caps", seed=seed), ForwardKL(2), 60),
    "chat, packed": Case(
        ChatTask(IDS, FLAGS, TOKENS, packed=True), lambda seed: writer("llama", seed=seed), ForwardKL(), TOKENS
    ),
    "embedding": Case(EmbeddingTask(IDS), lambda seed: tiny.encoder(seed=seed), EmbeddingCosine(), None),
    "image": Case(images(Augmentation()), net, ForwardKL(), 3),
    "image, varied": Case(images(Augmentation(1, True, 2, 0.4)), net, ForwardKL(), 3),
}
