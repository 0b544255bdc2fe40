"""Catch what happens inside a model by hooks on the chosen blocks alone, whatever the architecture calls them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from stillhouse.errors import UsageError
from stillhouse.models.layers import attention, blocks, fan_in
from stillhouse.models.outputs import Features, Heads, Layers

__all__ = ["Caught", "capture"]

_LISTS = ("stages", "blocks", "layers", "layer")
"""What models that are no transformers call the list of their parts."""


@final
@dataclass
class Caught:
    """What the hooks have seen so far, by number of block."""

    hidden: dict[int, Tensor] = field(default_factory=dict)
    attention: dict[int, Tensor] = field(default_factory=dict)
    heads: dict[int, dict[int, Tensor]] = field(default_factory=dict)
    """Queries, keys and values are 0, 1 and 2."""

    def features(self) -> Features:
        """Everything caught, by number of block."""
        heads = {layer: Heads(parts[0], parts[1], parts[2]) for layer, parts in self.heads.items()}
        return Features(dict(self.hidden), dict(self.attention), heads)


@contextmanager
def capture(model: nn.Module, layers: Layers) -> Generator[Caught]:
    """While this is open, every forward pass of `model` leaves the features of `layers` in what it gives.

    Hidden states are those that leave a block, before any norm that follows the last. Attention weights are those
    that the softmax gives, before dropout; for them a Transformers model is switched to attention written out, which
    is slower, until this closes (for good where it checkpoints gradients, as blocks then run again later). Queries,
    keys and values are as projected, before rotation and norms of their own.

    Blocks are those of a transformer, the stages of a convolutional model, or of any other module the parts of the
    first list it calls `stages`, `blocks` or `layers`. Raises UsageError where there is no such block or it has no
    attention.
    """
    caught = Caught()
    if not (layers.hidden or layers.attention or layers.heads):
        yield caught
        return
    stack = _stack(model)
    _check(layers, len(stack))
    with ExitStack() as open_now:
        if layers.attention:
            open_now.enter_context(_written_out(model))
        for layer in sorted(layers.hidden):
            open_now.callback(_catch_hidden(stack, layer, caught).remove)
        for layer in sorted(layers.attention):
            for handle in _catch_attention(stack[layer], layer, caught):
                open_now.callback(handle.remove)
        for layer in sorted(layers.heads):
            for handle in _catch_heads(model, stack[layer], caught.heads.setdefault(layer, {})):
                open_now.callback(handle.remove)
        yield caught


def _catch_hidden(stack: Sequence[nn.Module], layer: int, caught: Caught) -> RemovableHandle:
    """A hook on what leaves a block, or on what enters the first."""

    def leaves(module: nn.Module, inputs: Any, output: Any) -> None:
        caught.hidden[layer] = output[0] if isinstance(output, tuple) else output

    def enters(module: nn.Module, inputs: Any) -> None:
        caught.hidden[layer] = inputs[0]

    return stack[0].register_forward_pre_hook(enters) if layer < 0 else stack[layer].register_forward_hook(leaves)


@final
class _SoftmaxSeen(TorchFunctionMode):
    """While this is open, the last softmax over `[rows, heads, tokens, tokens]` is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: Tensor | None = None

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in ("softmax", "_softmax") and isinstance(found, Tensor) and found.dim() == 4:
            self.weights = found
        return found


def _catch_attention(block: nn.Module, layer: int, caught: Caught) -> Iterator[RemovableHandle]:
    """Hooks that watch a block's softmax from its start to its end, even where it ends in an error."""
    running: list[_SoftmaxSeen] = []

    def begin(module: nn.Module, inputs: Any) -> None:
        running.append(_SoftmaxSeen().__enter__())

    def end(module: nn.Module, inputs: Any, output: Any) -> None:
        if not running:  # an error came before the block began
            return
        seen = running.pop()
        seen.__exit__(None, None, None)
        if seen.weights is None and output is not None:
            raise UsageError(
                f"{type(module).__name__} shows no attention weights: it computes them in a kernel that keeps them to "
                "itself. Use a model of Transformers whose attention can be written out, or another objective, such "
                "as HeadRelations."
            )
        if seen.weights is not None:
            caught.attention[layer] = seen.weights

    yield block.register_forward_pre_hook(begin)
    yield block.register_forward_hook(end, always_call=True)


def _catch_heads(model: nn.Module, block: nn.Module, parts: dict[int, Tensor]) -> Iterator[RemovableHandle]:
    """Hooks on the projections of a block's attention, whose outputs are split by head."""
    seen, config = attention(block), _config(model)
    heads = int(config.num_attention_heads)
    shared = int(getattr(config, "num_key_value_heads", None) or heads)
    size = fan_in(seen.output) // heads
    counts = (heads, shared, shared)

    def of_one(slot: int) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: parts.__setitem__(slot, _by_head(output, counts[slot], size))

    def of_fused(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.shape[-1] != size * sum(counts):
            raise UsageError(
                f"{type(block).__name__} projects to {output.shape[-1]} outputs, and queries, keys and values of "
                f"{counts} heads of {size} need {size * sum(counts)}: how they lie in it is not known."
            )
        if seen.by_head:
            pieces = [piece.flatten(-2) for piece in output.unflatten(-1, (heads, 3 * size)).split(size, -1)]
        else:
            pieces = list(output.split([size * count for count in counts], -1))
        for slot, piece in enumerate(pieces):
            parts[slot] = _by_head(piece, counts[slot], size)

    if len(seen.inward) == 1:
        yield seen.inward[0].register_forward_hook(of_fused)
        return
    for slot, projection in enumerate(seen.inward):
        yield projection.register_forward_hook(of_one(slot))


def _by_head(projected: Tensor, heads: int, size: int) -> Tensor:
    """`[rows, tokens, heads * size]` -> `[rows, heads, tokens, size]`."""
    return projected.unflatten(-1, (heads, size)).transpose(1, 2)


@contextmanager
def _written_out(model: nn.Module) -> Generator[None]:
    """While this is open, a Transformers model computes its attention step by step, so that it can be seen."""
    inner = next((part for part in model.modules() if isinstance(part, PreTrainedModel)), None)
    before = None if inner is None else inner.config._attn_implementation
    if inner is None or before == "eager":
        yield
        return
    try:
        inner.set_attn_implementation("eager")
    except ValueError as error:
        raise UsageError(f"{type(inner).__name__} cannot show its attention weights: {error}") from error
    try:
        yield
    finally:
        if before is not None and not (inner.is_activation_checkpointing and torch.is_grad_enabled()):
            inner.set_attn_implementation(before)


def _stack(model: nn.Module) -> Sequence[nn.Module]:
    """What is counted as the blocks of a model."""
    for part in model.modules():
        config = getattr(part, "config", None)
        if getattr(config, "num_hidden_layers", 0) and not hasattr(config, "depths"):
            return list(blocks(part))
    for part in model.modules():
        for name in _LISTS:
            found = getattr(part, name, None)
            if isinstance(found, nn.ModuleList | nn.Sequential) and len(found):
                return list(found)
    raise UsageError(
        f"{type(model).__name__} has no blocks to catch features from: it is no model of Transformers, and no module "
        "of it keeps its parts in a list called stages, blocks or layers."
    )


def _config(model: nn.Module) -> Any:
    """The configuration that counts a model's heads."""
    for part in model.modules():
        config = getattr(part, "config", None)
        if getattr(config, "num_attention_heads", None):
            return config
    raise UsageError(f"{type(model).__name__} does not say how many heads it has, so its queries cannot be split.")


def _check(layers: Layers, depth: int) -> None:
    last = f"this model has blocks 0 to {depth - 1}"
    wrong = sorted(layer for layer in layers.hidden if not -1 <= layer < depth)
    if wrong:
        raise UsageError(f"There is no block {wrong[0]}: {last} (-1: the embeddings).")
    wrong = sorted(layer for layer in layers.attention | layers.heads if not 0 <= layer < depth)
    if wrong:
        raise UsageError(f"There is no attention in a block {wrong[0]}: {last}.")
