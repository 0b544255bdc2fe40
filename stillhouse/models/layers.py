"""Find the parts of a transformer by their role, whatever its architecture calls them, and drop whole blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError

__all__ = [
    "Attention",
    "FeedForward",
    "Sizes",
    "attention",
    "blocks",
    "fan_in",
    "fan_out",
    "feed_forward",
    "final_norm",
    "keep_blocks",
    "keep_positions",
    "linear_layers",
    "norms",
    "output_head",
    "sizes",
    "token_embedding",
]

# What architectures call the projections of attention. All other roles are told by place and shape.
_QUERY = ("query", "q_proj", "q_lin", "query_proj", "q")
_KEY = ("key", "k_proj", "k_lin", "key_proj", "k")
_VALUE = ("value", "v_proj", "v_lin", "value_proj", "v")
_FUSED = ("c_attn", "Wqkv", "qkv_proj", "query_key_value")
_BY_HEAD = ("query_key_value",)


@dataclass(frozen=True)
class Attention:
    """The linear layers of one block's attention.

    `inward` is (query, key, value), or one fused layer whose outputs are all queries, then all keys, then all
    values; `by_head` says that a fused layer has query, key and value of each head side by side instead.
    `positions` are further projections of one output per query output (DeBERTa's), `query_norm` and `key_norm`
    norms of queries and keys where there are any.
    """

    inward: tuple[nn.Module, ...]
    output: nn.Module
    by_head: bool
    positions: tuple[nn.Module, ...]
    query_norm: nn.Module | None
    key_norm: nn.Module | None


@dataclass(frozen=True)
class FeedForward:
    """The linear layers of one block's feed-forward part: `inward` is (up), (gate, up) or both fused in one."""

    inward: tuple[nn.Module, ...]
    outward: nn.Module


@dataclass(frozen=True)
class Sizes:
    """How large the parts of a transformer are; `head_size` is the outputs of one head, `ffn` the hidden units."""

    width: int
    heads: int
    kv_heads: int
    head_size: int
    ffn: int


def blocks(model: nn.Module) -> nn.ModuleList:
    """The stack of transformer blocks: the heaviest list of as many modules as the configuration counts layers."""
    depth = getattr(model.config, "num_hidden_layers", 0)
    if hasattr(model.config, "depths"):
        raise UsageError(f"{type(model).__name__} is built in stages, which are no stack of like blocks to be cut.")
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList) and 0 < len(module) == depth]
    if not stacks:
        raise UsageError(
            f"{type(model).__name__} has no stack with a block for each of its {depth} layers (ALBERT's share one), "
            "so it cannot be cut. Choose a model such as BERT, RoBERTa, DistilBERT, MPNet, ModernBERT, GPT-2, Llama, "
            "Mistral, Qwen, Gemma or ViT."
        )
    return max(stacks, key=lambda stack: sum(weight.numel() for weight in stack.parameters()))


def keep_blocks(model: nn.Module, layers: tuple[int, ...]) -> None:
    """Drop every block but `layers`, in place, and tell the configuration.

    Raises UsageError where a block would stand at a place for which its architecture makes another kind of block.
    """
    stack = blocks(model)
    kept = [stack[layer] for layer in layers]
    lists = _lists_by_layer(model.config)
    changed = {"num_hidden_layers": len(layers)}
    changed |= {name: [values[layer] for layer in layers] for name, values in lists.items()}
    changed |= _stages_left(model.config, len(layers))
    if any(_weights(stack[layer]) != _weights(stack[place]) for place, layer in enumerate(layers)):
        _check_places(model, kept, changed)
    del stack[:]
    stack.extend(kept)
    _tell(model.config, changed)
    for place, block in enumerate(kept):
        for module in block.modules():
            for name in ("layer_idx", "layer_id"):  # where its keys and values are cached
                if isinstance(getattr(module, name, None), int):
                    setattr(module, name, place)


def _lists_by_layer(config: Any) -> dict[str, Sequence[Any]]:
    """What a configuration says of each layer: which see all tokens and which their neighbours, for one."""
    found = {name: value for name, value in vars(config).items() if "layer" in name}
    depth = config.num_hidden_layers
    return {name: value for name, value in found.items() if isinstance(value, list | tuple) and len(value) == depth}


def _stages_left(config: Any, depth: int) -> dict[str, Any]:
    """What a backbone's configuration (DINOv2, BEiT) says of the layers that it can show: the last of those left."""
    names = getattr(config, "stage_names", None) or ()
    if len(names) != config.num_hidden_layers + 1:
        return {}
    return {"stage_names": names[: depth + 1], "_out_features": [names[depth]], "_out_indices": [depth]}


def _tell(config: Any, changed: dict[str, Any]) -> None:
    for name, value in changed.items():
        setattr(config, name, value)


def _check_places(model: nn.Module, kept: list[nn.Module], changed: dict[str, Any]) -> None:
    """Compare blocks with those that the changed configuration makes, which cost nothing on the meta device."""
    config = deepcopy(model.config)
    _tell(config, changed)
    with torch.device("meta"):
        made = blocks(type(model)(config))  # pyright: ignore[reportCallIssue]
    for place, (block, expected) in enumerate(zip(kept, made, strict=True)):
        if _weights(block) != _weights(expected):
            raise UsageError(
                f"{type(model).__name__} has another kind of block at place {place} than the one chosen for it: "
                f"{_difference(block, expected)}. Keep block {place} at its place."
            )


def _weights(block: nn.Module) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in block.named_parameters()}


def _difference(block: nn.Module, expected: nn.Module) -> str:
    return ", ".join(sorted(name for name, _ in _weights(block).items() ^ _weights(expected).items()))


def token_embedding(model: nn.Module) -> nn.Embedding:
    """The table from token ids to vectors."""
    return model.get_input_embeddings()  # pyright: ignore[reportCallIssue]


def output_head(model: nn.Module) -> nn.Module:
    """The layer that turns hidden states into logits: of tokens if it has one, else the last outside its base model."""
    get = getattr(model, "get_output_embeddings", None)
    found = get() if get is not None else None
    if found is not None:
        return found
    base = getattr(model, "base_model", model)
    outside = [layer for child in model.children() if child is not base for layer in linear_layers(child)]
    if base is model or not outside:
        raise UsageError(
            f"{type(model).__name__} has no head that gives logits. Load it with one, for example by "
            "AutoModelForCausalLM, AutoModelForSequenceClassification or AutoModelForImageClassification."
        )
    return outside[-1]


def norms(module: nn.Module) -> list[nn.Module]:
    """The normalisation layers inside a module, in order."""
    return [part for part in module.modules() if _is_norm(part)]


def final_norm(model: nn.Module) -> nn.Module | None:
    """The norm that the last block's output goes through; None where every block ends with a norm of its own."""
    stack = blocks(model)
    for parent in model.modules():
        beside = list(parent.children())
        if stack in beside and not hasattr(parent, "rel_embeddings"):  # DeBERTa norms these there, not the states
            return next((child for child in beside[beside.index(stack) :] if _is_norm(child)), None)
    return None


def _is_norm(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return "Norm" in type(module).__name__ and isinstance(weight, torch.Tensor) and weight.dim() == 1


def linear_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The linear layers inside a module in order, itself included; of an adapted one (LoRA) the adapted as one."""
    if _is_linear(module):
        yield module
        return
    for child in module.children():
        yield from linear_layers(child)


def _is_linear(module: object) -> bool:
    return isinstance(module, Conv1D) or (hasattr(module, "in_features") and hasattr(module, "out_features"))


def fan_in(layer: nn.Module) -> int:
    """How many inputs a linear layer has."""
    return int(layer.nx if isinstance(layer, Conv1D) else layer.in_features)  # pyright: ignore[reportArgumentType]


def fan_out(layer: nn.Module) -> int:
    """How many outputs a linear layer has."""
    return int(layer.nf if isinstance(layer, Conv1D) else layer.out_features)  # pyright: ignore[reportArgumentType]


def attention(block: nn.Module) -> Attention:
    """The projections of a block's attention; raises UsageError where it has none, or more than one attention."""
    owners = [(name, part) for name, part in block.named_modules() if _inward(part)]
    if len(owners) != 1:
        raise UsageError(
            f"{type(block).__name__} has {len(owners)} attentions where one was looked for: a module with layers "
            f"{_QUERY[0]}, {_KEY[0]} and {_VALUE[0]} (or {', '.join(_QUERY[1:])} and so on), or one of "
            f"{', '.join(_FUSED)}. Its layers can be dropped, but what is in them is not known."
        )
    name, owner = owners[0]
    inward = _inward(owner)
    part = block.get_submodule(name.split(".")[0])
    own = [layer for layer in linear_layers(owner) if layer not in inward]
    outside = [layer for layer in linear_layers(part) if layer not in inward and layer not in own]
    output, positions = (outside, own) if outside else (own, [])
    if len(output) != 1:
        raise UsageError(
            f"{type(part).__name__} has {len(output)} linear layers besides query, key and value, and one was looked "
            "for: the output projection. Its layers can be dropped, but what is in them is not known."
        )
    return Attention(
        inward,
        output[0],
        any(getattr(owner, name, None) is inward[0] for name in _BY_HEAD),
        tuple(positions),
        getattr(owner, "q_norm", None),
        getattr(owner, "k_norm", None),
    )


def _inward(module: nn.Module) -> tuple[nn.Module, ...]:
    """The query, key and value layers that are children of a module, or its fused one; none if it is no attention."""
    found = [_child(module, names) for names in (_QUERY, _KEY, _VALUE)]
    fused = _child(module, _FUSED)
    if fused is not None:
        return (fused,)
    return tuple(layer for layer in found if layer is not None) if None not in found else ()


def _child(module: nn.Module, names: tuple[str, ...]) -> nn.Module | None:
    children = dict(module.named_children())
    return next((children[name] for name in names if _is_linear(children.get(name))), None)


def feed_forward(block: nn.Module) -> FeedForward:
    """The linear layers of a block outside its attention; raises UsageError where they are no feed-forward part."""
    seen = attention(block)
    mine = {*seen.inward, seen.output, *seen.positions}
    layers = [layer for layer in linear_layers(block) if layer not in mine]
    if len(layers) < 2 or any(fan_in(layer) != fan_out(layers[-1]) for layer in layers[:-1]):
        shapes = ", ".join(f"{fan_in(layer)} to {fan_out(layer)}" for layer in layers) or "none"
        raise UsageError(
            f"{type(block).__name__} has no feed-forward part: linear layers into hidden units and one back out "
            f"were looked for outside its attention, and there are: {shapes}. Its layers can be dropped, but what is "
            "in them is not known."
        )
    return FeedForward(tuple(layers[:-1]), layers[-1])


def sizes(model: nn.Module) -> Sizes:
    """How large the parts of a transformer are, read off its first block, whose like all others are."""
    block = blocks(model)[0]
    seen, ffn = attention(block), feed_forward(block)
    config: Any = model.config
    heads = int(config.num_attention_heads)
    kv_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    head_size = fan_in(seen.output) // heads
    rows = (heads, kv_heads, kv_heads) if len(seen.inward) == 3 else (heads + 2 * kv_heads,)
    if [fan_out(layer) for layer in seen.inward] != [head_size * count for count in rows]:
        given = ", ".join(str(fan_out(layer)) for layer in seen.inward)
        raise UsageError(
            f"{type(block).__name__} has {heads} heads of {head_size} and {kv_heads} key and value heads, by its "
            f"configuration, but its projections have {given} outputs. Its layers can be dropped, but what is in them "
            "is not known."
        )
    return Sizes(fan_out(seen.output), heads, kv_heads, head_size, fan_in(ffn.outward))


def keep_positions(model: nn.Module, tokens: int) -> None:
    """Cut learnt absolute positions to those that `tokens` tokens use, in place; others are left alone."""
    limit = getattr(model.config, "max_position_embeddings", None)
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if not isinstance(table, nn.Embedding) or table.num_embeddings != limit:
            continue
        kept = tokens + (0 if table.padding_idx is None else table.padding_idx + 1)
        if kept >= table.num_embeddings:
            continue
        module.position_embeddings = nn.Embedding.from_pretrained(
            table.weight.detach()[:kept].clone(),
            freeze=not table.weight.requires_grad,
            padding_idx=table.padding_idx,
        )
        for name in ("position_ids", "token_type_ids"):
            buffer = getattr(module, name, None)
            if buffer is not None:
                setattr(module, name, buffer[:, :kept].clone())
        model.config.max_position_embeddings = kept  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
