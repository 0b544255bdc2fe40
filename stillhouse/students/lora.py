"""A student that is its teacher with small low-rank matrices beside its weights, the only ones that learn (LoRA)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, final, get_args

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError
from stillhouse.models.layers import attention, blocks, feed_forward, output_head

__all__ = ["Lora", "Part", "adapters", "lora", "merge", "save_adapted"]

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


def save_adapted(model: nn.Module, folder: Path, base: str, config: Lora) -> None:
    """Write a model of Transformers that has low-rank matrices, and leave it as it is.

    Written are the matrices alone, as PEFT reads them, beside the name of their `base` (a folder or hub id); but the
    whole model with the matrices added where there are none, or the base has such matrices itself.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)}
    if not layers:
        cast("Any", model).save_pretrained(folder)
    elif (Path(base) / "adapter_config.json").is_file():
        cast("Any", model).save_pretrained(folder, state_dict=_added(model, layers))
    else:
        settings = LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,  # pyright: ignore[reportArgumentType]
            lora_dropout=config.dropout,
            target_modules=sorted(layers),
            fan_in_fan_out=any(isinstance(layer.get_base_layer(), Conv1D) for layer in layers.values()),
            base_model_name_or_path=base,
            task_type="CAUSAL_LM",
            inference_mode=True,
        )
        settings.save_pretrained(str(folder))
        weights = {
            f"base_model.model.{name}.{key.replace('.default', '')}": value.detach().cpu().contiguous()
            for name, layer in layers.items()
            for key, value in cast("nn.Module", layer).state_dict().items()
            if key.startswith("lora_")
        }
        save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def _added(model: nn.Module, layers: dict[str, BaseTunerLayer]) -> dict[str, Tensor]:
    """The weights of a model with its low-rank matrices added in, under the names they have without."""
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if ".lora_" not in name:
            state[name.replace(".base_layer", "")] = value
    for name, layer in layers.items():
        delta = cast("Any", layer).get_delta_weight("default")
        state[f"{name}.weight"] = state[f"{name}.weight"] + delta.to(state[f"{name}.weight"])
    return state
