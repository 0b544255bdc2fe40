"""Find the blocks and embeddings of an encoder by their role, whatever the architecture calls them."""

from __future__ import annotations

from torch import nn

from stillhouse.errors import UsageError

__all__ = ["blocks", "keep_blocks", "keep_positions", "token_embedding"]


def blocks(model: nn.Module) -> nn.ModuleList:
    """The stack of transformer blocks: the longest list of modules of one class."""
    stacks = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList) and len(module) and len({type(child) for child in module}) == 1
    ]
    if not stacks:
        raise UsageError(f"{type(model).__name__} has no stack of blocks; Stillhouse shrinks transformer encoders.")
    return max(stacks, key=lambda stack: (len(stack), sum(p.numel() for p in stack.parameters())))


def keep_blocks(model: nn.Module, layers: tuple[int, ...]) -> None:
    """Drop every block but `layers`, in place, and tell the configuration."""
    stack = blocks(model)
    kept = [stack[layer] for layer in layers]
    del stack[:]
    stack.extend(kept)
    model.config.num_hidden_layers = len(layers)  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]


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
            table.weight.detach()[:kept].clone(), freeze=False, padding_idx=table.padding_idx
        )
        for name in ("position_ids", "token_type_ids"):
            buffer = getattr(module, name, None)
            if buffer is not None:
                setattr(module, name, buffer[:, :kept].clone())
        model.config.max_position_embeddings = kept  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
