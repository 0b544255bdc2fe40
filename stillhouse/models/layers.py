"""Find the blocks and embeddings of an encoder by their role, whatever the architecture calls them."""

from __future__ import annotations

from typing import Any

from torch import nn

from stillhouse.errors import UsageError

__all__ = ["blocks", "keep_blocks", "keep_positions", "token_embedding"]


def blocks(model: nn.Module) -> nn.ModuleList:
    """The stack of transformer blocks: the heaviest list of as many modules as the configuration counts layers."""
    depth = getattr(model.config, "num_hidden_layers", 0)
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList) and 0 < len(module) == depth]
    if not stacks:
        raise UsageError(
            f"{type(model).__name__} has no stack with a block for each of its {depth} layers (ALBERT's share one), "
            "so it cannot be cut. Choose an encoder such as BERT, RoBERTa, DistilBERT, MPNet or ModernBERT."
        )
    return max(stacks, key=lambda stack: sum(weight.numel() for weight in stack.parameters()))


def keep_blocks(model: nn.Module, layers: tuple[int, ...]) -> None:
    """Drop every block but `layers`, in place, and tell the configuration."""
    stack = blocks(model)
    kept = [stack[layer] for layer in layers]
    del stack[:]
    stack.extend(kept)
    config: Any = model.config
    config.num_hidden_layers = len(layers)
    if getattr(config, "layer_types", None):  # which blocks see all tokens and which their neighbours
        config.layer_types = [config.layer_types[layer] for layer in layers]


def token_embedding(model: nn.Module) -> nn.Embedding:
    """The table from token ids to vectors."""
    return model.get_input_embeddings()  # pyright: ignore[reportCallIssue]


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
