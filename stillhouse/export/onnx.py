"""Students as ONNX graphs, any batch and length: classifiers of text and of images, and sentence encoders."""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from stillhouse.export.graph import free, write_graph
from stillhouse.export.pooling import Stack

__all__ = ["export_embedding", "export_image", "export_onnx"]


def export_onnx(student: nn.Module, path: Path) -> None:
    """Write a text classifier to `path`: `input_ids` and `attention_mask` `[rows, tokens]` in, `logits` out."""
    _write_reader(student.to("cpu"), path, ["logits"])


def export_image(model: nn.Module, path: Path, size: tuple[int, int, int]) -> None:
    """Write an image classifier to `path`: `pixel_values` `[rows, channels, height, width]` in, `logits` out.

    `size` is `(channels, height, width)`, which is fixed; rows are free.
    """
    given = (torch.zeros(2, *size),)
    write_graph(_Seen(model), path, given, (free("rows"),), ["pixel_values"], ["logits"])


def export_embedding(model: nn.Module, stack: Stack, path: Path) -> None:
    """Write a sentence encoder to `path`: `input_ids` and `attention_mask` in, states and vectors out.

    Outputs are `last_hidden_state` `[rows, tokens, width]` and `sentence_embedding` `[rows, width]`, as `stack` makes
    it of them.
    """
    _write_reader(_Embedded(model, stack), path, ["last_hidden_state", "sentence_embedding"])


def _write_reader(module: nn.Module, path: Path, outputs: list[str]) -> None:
    """Write a module that reads ids and a mask."""
    ids = torch.ones(2, 5, dtype=torch.long)
    axes = free("rows", "tokens")
    write_graph(module, path, (ids, torch.ones_like(ids)), (axes, axes), ["input_ids", "attention_mask"], outputs)


@final
class _Seen(nn.Module):
    """An image classifier that gives its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model(pixel_values=pixel_values).logits


@final
class _Embedded(nn.Module):
    """A sentence encoder that gives the states of tokens and the vector of the text."""

    def __init__(self, model: nn.Module, stack: Stack) -> None:
        super().__init__()
        self.model, self.stack = model, stack

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states, self.stack(states, attention_mask)
