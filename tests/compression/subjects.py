"""A tiny model of each family, as one answer to named inputs, with inputs to try it on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from stillhouse.export.graph import write_graph
from stillhouse.models.fold import fold_norms

VOCABULARY = 64


@dataclass(frozen=True)
class Subject:
    model: nn.Module
    inputs: dict[str, Tensor]

    def export(self, model: nn.Module, path: Path) -> None:
        """Write a model that takes the same inputs."""
        axes = {0: "rows", 1: "tokens"} if "input_ids" in self.inputs else {0: "rows"}
        given = tuple(self.inputs.values())
        write_graph(model, path, given, (axes,) * len(given), list(self.inputs), ["logits"])


class Text(nn.Module):
    """Logits of tokens and mask alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **self._more()).logits

    def _more(self) -> dict[str, Any]:
        return {"use_cache": False} if self.model.config.model_type in ("gpt2", "llama") else {}


class Image(nn.Module):
    """Logits of pixels alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model(pixel_values=pixel_values).logits


def plain() -> nn.Module:
    """A convolutional network of no library."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 8 * 8, 32),
        nn.ReLU(),
        nn.Linear(32, 5),
    )


def _language_model(name: str) -> nn.Module:
    if name == "gpt2":
        config = GPT2Config(
            vocab_size=VOCABULARY, n_positions=32, n_embd=48, n_layer=2, n_head=4, initializer_range=0.2
        )
        return GPT2LMHeadModel(config)
    sizes = {"hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=2, initializer_range=0.2, **sizes)
    return LlamaForCausalLM(config)


def _encoder() -> nn.Module:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = BertConfig(vocab_size=VOCABULARY, max_position_embeddings=32, num_labels=5, initializer_range=0.2, **sizes)
    return BertForSequenceClassification(config)


def _image_model(name: str) -> nn.Module:
    if name == "vit":
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        config = ViTConfig(image_size=16, patch_size=4, num_labels=5, initializer_range=0.2, **sizes)
        return ViTForImageClassification(config)
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", num_labels=5, num_channels=3
    )
    return ResNetForImageClassification(config)


FAMILIES = ("bert", "gpt2", "llama", "vit", "resnet", "plain")


def subject(family: str, seed: int = 0) -> Subject:
    """A random model whose norms have seen something and are folded, in evaluation mode."""
    torch.manual_seed(seed)
    if family in ("bert", "gpt2", "llama"):
        made = Text(_encoder() if family == "bert" else _language_model(family))
        return Subject(made.eval(), texts(3, 11, seed))
    made = plain() if family == "plain" else Image(_image_model(family))
    inputs = pictures(4, seed, "input" if family == "plain" else "pixel_values")
    for batch in range(4):
        made.train()(*pictures(8, 100 + batch).values())  # what batch norms follow
    return Subject(fold_norms(made, inputs), inputs)


def texts(rows: int, tokens: int, seed: int = 0) -> dict[str, Tensor]:
    """Random ids; every row but the first ends before the last token."""
    ids = torch.randint(1, VOCABULARY, (rows, tokens), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    for row in range(1, rows):
        mask[row, max(1, tokens - row) :] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


def pictures(rows: int, seed: int = 0, name: str = "pixel_values") -> dict[str, Tensor]:
    return {name: torch.randn(rows, 3, 16, 16, generator=torch.Generator().manual_seed(seed))}


def others(family: str, rows: int, seed: int) -> dict[str, Tensor]:
    """Inputs of other sizes than the subject's own."""
    if family in ("bert", "gpt2", "llama"):
        return texts(rows, 7 + seed, seed)
    return pictures(rows, seed, "input" if family == "plain" else "pixel_values")
