"""What llama.cpp calls the models it knows, which sizes it wants to be told, and their weights by its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError

__all__ = ["ENCODERS", "WRITERS", "Architecture", "Facts", "describe"]

Floats = npt.NDArray[np.float32]
Facts = dict[str, Any]
"""Metadata by key, without the architecture's name in front."""

WRITERS = ("llama", "mistral", "qwen2", "qwen3", "gpt2")
ENCODERS = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert")

_SMOOTH = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast")
"""What llama.cpp computes as gelu by its tanh form; the exact form differs from it by less than 0.0005."""


@final
@dataclass(frozen=True)
class Architecture:
    """A model in llama.cpp's words."""

    name: str
    facts: Facts
    extra: dict[str, Floats]
    """Weights that Transformers computes and does not keep."""
    rename: Callable[[str], str | None]
    """A weight's name to the one that llama.cpp's names are looked up by; None: it is left out."""
    change: Callable[[str, Tensor], Tensor]
    """A weight as llama.cpp wants it, by its name in Transformers."""
    undo: Callable[[str, Tensor, Tensor], Tensor]
    """The same backwards: a weight's name, what llama.cpp has of it, and the model's own for what it does not have."""
    notes: tuple[str, ...] = ()

    def weights(self, model: nn.Module, blocks: int) -> Iterator[tuple[str, Floats]]:
        """Every weight by llama.cpp's name, shared ones once; raises UsageError for one that it has no name for."""
        own = dict(model.named_parameters())
        for place, name in self.names(model, blocks).items():
            yield name, np.ascontiguousarray(self.change(place, own[place].detach().float().cpu()).numpy())
        yield from self.extra.items()

    def names(self, model: nn.Module, blocks: int) -> dict[str, str]:
        """llama.cpp's name of each weight that is written, by its name in Transformers."""
        from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

        arch = next(key for key, name in MODEL_ARCH_NAMES.items() if name == self.name)
        names = get_tensor_name_map(arch, blocks)
        found: dict[str, str] = {}
        for own, _ in model.named_parameters():
            wanted = self.rename(own)
            if wanted is None:
                continue
            name = names.get_name(wanted, try_suffixes=(".weight", ".bias"))
            if name is None:
                raise UsageError(
                    f"llama.cpp's {self.name} models have no weight {own}, so this model cannot be written as GGUF. "
                    "Export it before its layers are replaced (low rank, adapters), or to another form."
                )
            found[own] = name
        return found


def describe(model: Any) -> Architecture:
    """How llama.cpp sees a Transformers model; raises UsageError for one that it would not answer for alike.

    `model` is a causal language model, or an encoder without a head.
    """
    kind = str(model.config.model_type)
    makers = {"gpt2": _gpt2} | dict.fromkeys(WRITERS[:4], _llama) | dict.fromkeys(ENCODERS, _bert)
    if kind not in makers:
        raise UsageError(
            f"GGUF is written here for {', '.join(WRITERS)} (language models) and {', '.join(ENCODERS)} (encoders), "
            f"not for {kind}. Choose one of these, or export to onnx or safetensors."
        )
    return makers[kind](model)


def _llama(model: Any) -> Architecture:
    config = model.config
    kind = str(config.model_type)
    _check_choice(config, "hidden_act", ("silu", "swish"))
    head = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    name = "llama" if kind == "mistral" else kind
    rope, extra = _rope(model, head, name)
    context, notes = _context(config)
    heads, shared = int(config.num_attention_heads), int(config.num_key_value_heads)
    facts: Facts = {
        "context_length": context,
        "embedding_length": int(config.hidden_size),
        "block_count": int(config.num_hidden_layers),
        "feed_forward_length": int(config.intermediate_size),
        "attention.head_count": heads,
        "attention.head_count_kv": shared,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "vocab_size": int(config.vocab_size),
        **rope,
    }
    if name == "qwen2" and head * heads != config.hidden_size:
        raise UsageError(
            f"llama.cpp's qwen2 models have as many outputs of queries ({head} x {heads}) as they are wide "
            f"({config.hidden_size}). Prune its heads less, or export to onnx or safetensors."
        )

    def turned(own: str) -> int:
        """How many heads a weight has whose rows llama.cpp has in another order."""
        if name != "llama":
            return 0
        return heads if ".q_proj." in own else shared if ".k_proj." in own else 0

    def change(own: str, weight: Tensor) -> Tensor:
        return _swap(weight, turned(own), 2) if turned(own) else weight

    def undo(own: str, weight: Tensor, _: Tensor) -> Tensor:
        return _swap(weight, turned(own), weight.shape[0] // turned(own) // 2) if turned(own) else weight

    return Architecture(name, facts, extra, lambda own: own, change, undo, notes)


def _swap(weight: Tensor, heads: int, parts: int) -> Tensor:
    """The rows of each head, which are `parts` after one another, in turns: the first of each part, the second, ...

    Rotary positions turn pairs of numbers of a head. In Transformers those are i and i + d/2 of the d numbers, in
    llama.cpp's `llama` models 2i and 2i + 1; its other models do as Transformers does.
    """
    rows = weight.shape[0] // heads // parts
    return weight.reshape(heads, parts, rows, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def _rope(model: Any, head: int, name: str) -> tuple[Facts, dict[str, Floats]]:
    """How positions turn queries and keys: the base, and how its frequencies are slowed for long texts."""
    told = dict(model.config.rope_parameters)
    kind, base = str(told.get("rope_type", "default")), float(told["rope_theta"])
    facts: Facts = {"rope.freq_base": base, "rope.dimension_count": head}
    if float(told.get("partial_rotary_factor", 1.0)) != 1.0:
        raise UsageError("Positions that turn only a part of each head (partial_rotary_factor) are not written here.")
    if kind == "default":
        return facts, {}
    if kind == "linear":
        return facts | {"rope.scaling.type": "linear", "rope.scaling.factor": float(told["factor"])}, {}
    if kind == "llama3" and name == "llama":
        turned = next(part.inv_freq for part in model.modules() if isinstance(getattr(part, "inv_freq", None), Tensor))
        plain = 1.0 / base ** (torch.arange(0, head, 2, dtype=torch.float64) / head)
        return facts, {"rope_freqs.weight": (plain / turned.double().cpu()).float().numpy()}
    raise UsageError(
        f"Positions of the kind {kind!r} are not written as GGUF for {name} models here: default and linear ones are, "
        "and those of Llama 3 for llama models."
    )


def _context(config: Any) -> tuple[int, tuple[str, ...]]:
    """How many tokens the model reads: no more than its window, as llama.cpp lets every token see all before it."""
    context = int(config.max_position_embeddings)
    window = getattr(config, "sliding_window", None)
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ["sliding_attention"])
    if not window or not slides or window >= context:
        return context, ()
    told = f"Tokens see the {window} before them alone, which llama.cpp does not do: the context is cut to {window}."
    return int(window), (told,)


def _gpt2(model: Any) -> Architecture:
    config = model.config
    _check_choice(config, "activation_function", _SMOOTH)
    unlike = [name for name in ("scale_attn_by_inverse_layer_idx", "add_cross_attention") if getattr(config, name)]
    if unlike or not config.scale_attn_weights:
        raise UsageError(f"llama.cpp's gpt2 models have no {(*unlike, 'unscaled attention')[0]}.")
    turned = {f"{place}.weight" for place, part in model.named_modules() if isinstance(part, Conv1D)}
    facts: Facts = {
        "context_length": int(config.n_positions),
        "embedding_length": int(config.n_embd),
        "block_count": int(config.n_layer),
        "feed_forward_length": int(config.n_inner or 4 * config.n_embd),
        "attention.head_count": int(config.n_head),
        "attention.layer_norm_epsilon": float(config.layer_norm_epsilon),
        "vocab_size": int(config.vocab_size),
    }
    return Architecture(
        "gpt2",
        facts,
        {},
        rename=lambda own: own,
        change=lambda own, weight: weight.T if own in turned else weight,
        undo=lambda own, weight, _: weight.T if own in turned else weight,
        notes=_gelu_note(config),
    )


def _bert(model: Any) -> Architecture:
    config = model.config
    kind = str(config.model_type)
    plain = kind == "distilbert"
    _check_choice(config, "activation" if plain else "hidden_act", _SMOOTH)
    if getattr(config, "position_embedding_type", None) not in (None, "absolute"):
        raise UsageError("llama.cpp's bert models have absolute positions only.")
    skipped = 0 if kind in ("bert", "distilbert") else int(config.pad_token_id) + 1
    facts: Facts = {
        "context_length": int(config.max_position_embeddings) - skipped,
        "embedding_length": int(config.dim if plain else config.hidden_size),
        "block_count": int(config.num_hidden_layers),
        "feed_forward_length": int(config.hidden_dim if plain else config.intermediate_size),
        "attention.head_count": int(config.num_attention_heads),
        "attention.layer_norm_epsilon": 1e-12 if plain else float(config.layer_norm_eps),
        "attention.causal": False,
        "vocab_size": int(config.vocab_size),
    }

    def positions(own: str) -> bool:
        return own.endswith("position_embeddings.weight")

    return Architecture(
        "bert",
        facts,
        {},
        rename=lambda own: None if own.startswith("pooler.") else own,
        change=lambda own, weight: weight[skipped:] if positions(own) else weight,
        undo=lambda own, weight, whole: torch.cat([whole[:skipped], weight]) if positions(own) else weight,
        notes=_gelu_note(config),
    )


def _gelu_note(config: Any) -> tuple[str, ...]:
    act = getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    return ("llama.cpp computes gelu by its tanh form, from a table in half precision.",) if act == "gelu" else ()


def _check_choice(config: Any, name: str, choices: tuple[str, ...]) -> None:
    seen = getattr(config, name)
    if seen not in choices:
        raise UsageError(
            f"llama.cpp's {config.model_type} models compute {choices[0]}, and this one has {name} {seen!r}. "
            "Export it to onnx or safetensors."
        )
