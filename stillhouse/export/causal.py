"""A causal language model as one ONNX graph that reads prompts and writes token by token, with keys and values kept."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from stillhouse.errors import UsageError
from stillhouse.export.graph import write_graph

__all__ = ["Cache", "cache_of", "export_causal", "genai_config"]

GENAI = frozenset(
    ("gemma", "gemma2", "gemma3_text", "gpt2", "granite", "llama", "mistral", "olmo2", "phi", "phi3", "qwen2", "qwen3")
)
"""Families that onnxruntime-genai decodes by the plain names of inputs and outputs that are written here."""


@final
@dataclass(frozen=True)
class Cache:
    """The keys and values that a model keeps: `heads` and `size` of each block, which are those of all its tokens."""

    heads: tuple[int, ...]
    size: tuple[int, ...]
    positions: bool
    """Whether the model is told where its tokens stand."""

    @property
    def inputs(self) -> list[str]:
        """The graph's inputs in order."""
        given = ["input_ids", "attention_mask", *(["position_ids"] if self.positions else [])]
        return given + [f"past_key_values.{at}.{part}" for at in range(len(self.heads)) for part in ("key", "value")]

    @property
    def outputs(self) -> list[str]:
        """The graph's outputs in order."""
        return ["logits", *(f"present.{at}.{part}" for at in range(len(self.heads)) for part in ("key", "value"))]


def cache_of(model: nn.Module) -> Cache:
    """What a causal language model keeps of the tokens it has read; raises UsageError where that is not keys and values
    of all of them."""
    config: Any = model.config
    with torch.no_grad():
        said: Any = model(input_ids=torch.zeros(1, 2, dtype=torch.long), use_cache=True)
    layers: list[Any] = list(getattr(said.get("past_key_values"), "layers", ()))
    plain = all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
    if not layers or not plain:
        raise UsageError(
            f"A {config.model_type} model does not keep keys and values of its tokens alone, so it cannot be exported "
            "as a graph that goes on from them."
        )
    return Cache(
        tuple(layer.keys.shape[1] for layer in layers),
        tuple(layer.keys.shape[3] for layer in layers),
        "position_ids" in inspect.signature(model.forward).parameters,
    )


def export_causal(model: nn.Module, path: Path) -> Cache:
    """Write a causal language model to `path`, and tell what it keeps.

    Inputs: `input_ids` `[rows, tokens]`, `attention_mask` `[rows, past + tokens]`, `position_ids` `[rows, tokens]`
    where the model has them, and `past_key_values.N.key` and `.value` `[rows, heads, past, size]`, which may have no
    tokens at all: so one graph reads a prompt and writes one token after another. Outputs: `logits` `[rows, tokens,
    vocabulary]`, and `present.N.key` and `.value`, the past with the new tokens behind it.
    """
    cache = cache_of(model)
    rows, tokens, past = 2, 3, 4
    ids = torch.ones(rows, tokens, dtype=torch.long)
    kept = tuple(
        torch.zeros(rows, heads, past, size)
        for heads, size in zip(cache.heads, cache.size, strict=True)
        for _ in ("key", "value")
    )
    places = (torch.arange(past, past + tokens).expand(rows, -1).clone(),) if cache.positions else ()
    reading = {0: "rows", 1: "tokens"}
    axes = (reading, {0: "rows", 1: "total"}, (reading,) * len(places), ({0: "rows", 2: "past"},) * len(kept))
    given = (ids, torch.ones(rows, past + tokens, dtype=torch.long), places, kept)
    write_graph(_Cached(model), path, given, axes, cache.inputs, cache.outputs)
    return cache


def genai_config(config: Mapping[str, Any], cache: Cache, name: str = "model.onnx") -> dict[str, Any] | None:
    """The `genai_config.json` of onnxruntime-genai; None for a family that it does not decode in this way."""
    if config["model_type"] not in GENAI or len({*cache.heads}) > 1 or len({*cache.size}) > 1:
        return None
    length = next(config[key] for key in ("max_position_embeddings", "n_positions", "n_ctx") if config.get(key))
    ends = config.get("eos_token_id")
    first_end = ends[0] if isinstance(ends, list) else ends
    begin, padding = config.get("bos_token_id"), config.get("pad_token_id")
    inputs = {
        **{each: each for each in cache.inputs[: 3 if cache.positions else 2]},
        "past_key_names": "past_key_values.%d.key",
        "past_value_names": "past_key_values.%d.value",
    }
    outputs = {
        "logits": "logits",
        "present_key_names": "present.%d.key",
        "present_value_names": "present.%d.value",
    }
    decoder = {
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
        "filename": name,
        "head_size": cache.size[0],
        "hidden_size": config.get("hidden_size") or config["n_embd"],
        "inputs": inputs,
        "outputs": outputs,
        "num_attention_heads": config.get("num_attention_heads") or config["n_head"],
        "num_hidden_layers": len(cache.heads),
        "num_key_value_heads": cache.heads[0],
    }
    ids = {"bos_token_id": begin, "eos_token_id": ends, "pad_token_id": first_end if padding is None else padding}
    search = {"do_sample": False, "max_length": length, "num_beams": 1, "past_present_share_buffer": False}
    model = {
        **{key: value for key, value in ids.items() if value is not None},
        "context_length": length,
        "decoder": decoder,
        "type": config["model_type"],
        "vocab_size": config["vocab_size"],
    }
    return {"model": model, "search": search}


@final
class _Cached(nn.Module):
    """A causal language model whose keys and values come in and go out as tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, places: tuple[Tensor, ...], kept: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        cache: Any = DynamicCache()
        layers: list[Any] = [_layer(*kept[at : at + 2]) for at in range(0, len(kept), 2)]
        cache.layers = layers
        more = {"position_ids": places[0]} if places else {}
        said = self.model(
            input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True, **more
        )
        return said.logits, *(part for layer in layers for part in (layer.keys, layer.values))


def _layer(keys: Tensor, values: Tensor) -> DynamicLayer:
    """What a block has kept of the tokens before; windows that slide are the mask's matter, not the cache's."""
    layer = DynamicLayer()
    layer.dtype, layer.device = keys.dtype, keys.device
    layer.keys, layer.values, layer.is_initialized = keys, values, True
    return layer
