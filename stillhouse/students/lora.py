"""A student that is its teacher with small low-rank matrices beside its weights, the only ones that learn (LoRA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final, get_args

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError
from stillhouse.models.layers import attention, blocks, feed_forward, output_head

__all__ = ["Lora", "Part", "adapters", "lora", "merge"]

Part = Literal["attention", "ffn"]


@final
@dataclass(frozen=True)
class Lora:
    """Which layers of a student get low-rank matrices, and of which size.

    A layer W x becomes W x + alpha / rank * B A x, where A is [rank, inputs] and random, B is [outputs, rank] and
    zero, so that the student starts as the model it is made of (Hu et al. 2021, arxiv.org/abs/2106.09685). `parts`
    are the linear layers of the attention, of the feed-forward part, or both, in every block. With `head` the output
    head learns as well, as it must where it is new.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    parts: tuple[Part, ...] = ("attention", "ffn")
    head: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.parts) - set(get_args(Part)))
        if unknown or not self.parts:
            raise UsageError(f"LoRA parts {list(self.parts)} are not known; choose of {', '.join(get_args(Part))}.")
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise UsageError(
                f"LoRA of rank {self.rank}, alpha {self.alpha} and dropout {self.dropout} cannot be: choose a rank "
                "of 1 or more, an alpha above 0 and a dropout of 0 or more and below 1."
            )


def lora(model: nn.Module, config: Lora | None = None) -> nn.Module:
    """`model` itself, changed in place: frozen but for the new matrices, which are float32 whatever its weights are.

    Copy the model first if it is the teacher as well. The matrices' start is drawn from torch's generator.
    """
    config = config or Lora()
    if adapters(model):
        raise UsageError(f"This {type(model).__name__} has LoRA matrices already. Merge them before adding others.")
    layers = [layer for block in blocks(model) for layer in _layers(block, config.parts)]
    names = {layer: name for name, layer in model.named_modules()}
    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=config.dropout,
        target_modules=[names[layer] for layer in layers],
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers),
    )
    head = output_head(model) if config.head else None
    inject_adapter_in_model(settings, model)
    for layer in adapters(model):
        for weight in layer.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
    if head is not None:
        head.requires_grad_(True)
    return model.train(model.training)


def _layers(block: nn.Module, parts: tuple[Part, ...]) -> list[nn.Module]:
    found: list[nn.Module] = []
    if "attention" in parts:
        seen = attention(block)
        found += [*seen.inward, *seen.positions, seen.output]
    if "ffn" in parts:
        ffn = feed_forward(block)
        found += [*ffn.inward, ffn.outward]
    return found


def adapters(model: nn.Module) -> list[nn.Module]:
    """The layers of a model that have low-rank matrices beside their weights."""
    return [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]


def merge(model: nn.Module) -> nn.Module:
    """`model` itself, its low-rank matrices added into its weights: a plain model again, ready to be exported.

    All its weights can learn again. Merging twice changes nothing.
    """
    for name, layer in list(model.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer.get_base_layer())
    return model.requires_grad_(True)
