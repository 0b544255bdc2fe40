"""How much the parts of a model matter: heads, hidden units, channels and whole layers, by weights or on real data."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError
from stillhouse.models.channels import channels
from stillhouse.models.inherit import (
    Given,
    Hook,
    Parts,
    Scores,
    Section,
    by_activation,
    by_weight,
    call,
    looking,
    readers,
    split,
)
from stillhouse.models.layers import blocks
from stillhouse.models.resize import parts as transformer_parts
from stillhouse.models.stages import in_stages, narrows, stage_blocks, stage_parts

__all__ = [
    "Ask",
    "How",
    "Importance",
    "block_influence",
    "by_taylor",
    "by_wanda",
    "input_norms",
    "own_loss",
    "parts_of",
    "score",
    "stack_of",
]

How = Literal["magnitude", "activation", "wanda", "taylor"]
Ask = Callable[[Any], Tensor]
"""Shows a batch to the model and gives the loss over it, summed; whatever it runs must run the model that is scored."""


@final
@dataclass(frozen=True)
class Importance:
    """How much each part of one model matters; higher is more, and only parts of one group can be compared."""

    how: How
    parts: Parts
    scores: Mapping[str, Tensor]
    """Of each group its members `[members]`."""
    layers: Tensor | None = None
    """Of whole blocks `[blocks]`, of stages one after the other; None where a model has no blocks."""
    example: Given | None = None
    """What a network that was followed has answered."""


def score(
    model: nn.Module, how: How = "magnitude", batches: Iterable[Any] | None = None, ask: Ask | None = None
) -> Importance:
    """How much the heads, hidden units, channels and layers of a model matter.

    | `how` | a member j of a group | a layer |
    |---|---|---|
    | `magnitude` | Σ log ‖its entries‖² over matrices, or Σ |gain| of norms | Σ |w| |
    | `activation` | Σ ‖x_j‖₂ over positions and the layers that read it | 1 - cos(in, out) |
    | `wanda` | Σ_i |W_ij| ‖X_j‖₂ over the layers that read it | 1 - cos(in, out) |
    | `taylor` | Σ over rows of |∂loss/∂gate_j| | the same, of a gate at what it adds |

    Magnitudes need no data: Liu et al. 2017 (arxiv.org/abs/1708.06519), and for layers Kim et al. 2024
    (arxiv.org/abs/2402.02834). Activations: Muralidharan et al. 2024 (arxiv.org/abs/2407.14679). Wanda: Sun et al.
    2023 (arxiv.org/abs/2306.11695), whose scores of weights are summed over what goes with a member. Taylor: Molchanov
    et al. 2019 (arxiv.org/abs/1906.10771), for heads Michel et al. 2019 (arxiv.org/abs/1905.10650). Layers by cosine:
    Men et al. 2024 (ShortGPT, arxiv.org/abs/2403.03853).

    `batches` are what the model is called with; a model that is neither a transformer nor ResNet- or ConvNeXt-like is
    followed through the first of them, and so needs one for magnitudes too. For `taylor`, `ask` gives the loss of a
    batch (by default `own_loss`), and batches may be whatever it takes. The model stays as it is.
    """
    if how not in get_args(How):
        raise UsageError(f"There is no importance by {how!r}; choose {', '.join(get_args(How))}.")
    shown = list(batches or ())
    if how != "magnitude" and not shown:
        raise UsageError(f"Importance by {how} is seen on data, and there is no batch. Give some, or choose magnitude.")
    parts, example = parts_of(model, shown)
    stack = stack_of(model)
    if how == "magnitude":
        found, layers = by_weight(model, parts.axes, parts.members), _by_size(stack)
    elif how == "taylor":
        found, layers = by_taylor(model, parts, stack, shown, ask)
    else:
        found = (
            by_activation(model, parts.axes, parts.members, shown)
            if how == "activation"
            else by_wanda(model, parts, shown)
        )
        layers = block_influence(model, stack, shown)
    return Importance(how, parts, found, layers if stack else None, example)


def parts_of(model: nn.Module, batches: Sequence[Given]) -> tuple[Parts, Given | None]:
    """What can be taken from a model, and the batch that showed it where it had to be followed.

    A transformer of which only whole layers are known has no other parts.
    """
    if in_stages(model) and narrows(model):
        return stage_parts(model), None
    if isinstance(model, PreTrainedModel) and stack_of(model) and not in_stages(model):
        try:
            return transformer_parts(model), None
        except UsageError:  # it says which part is not known when that part is to be pruned
            return Parts({}, {}), None
    if not batches:
        raise UsageError(
            f"Which channels of {type(model).__name__} belong together is seen by following one batch through it. "
            "Give one, of few rows."
        )
    return channels(model, batches[0]), batches[0]


def stack_of(model: nn.Module) -> list[nn.Module]:
    """The blocks of a model, of stages one after the other; none where it has no such thing."""
    if in_stages(model):
        return [block for stage in stage_blocks(model) for block in stage]
    try:
        return list(blocks(model)) if isinstance(model, PreTrainedModel) else []
    except UsageError:
        return []


def own_loss(model: nn.Module, batch: Given) -> Tensor:
    """What a model gives as its loss, times rows; without labels the cross-entropy of its own likeliest answers.

    It is not a divergence from its own answers: that has no gradient where both agree.
    """
    said: Any = call(model, batch)
    loss = getattr(said, "loss", None)
    if loss is not None:
        return loss * len(next(iter(batch.values() if isinstance(batch, Mapping) else batch)))
    logits = said if isinstance(said, Tensor) else getattr(said, "logits", None)
    if logits is None:
        raise UsageError(
            f"{type(model).__name__} gives no logits. Give `ask`: a function that shows it a batch and gives a loss."
        )
    each = functional.cross_entropy(
        logits.flatten(0, -2).float(), logits.detach().argmax(-1).flatten(), reduction="none"
    )
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    return (each if mask is None or mask.numel() != len(each) else each * mask.flatten().to(each)).sum()


def by_taylor(
    model: nn.Module, parts: Parts, stack: Sequence[nn.Module], batches: Iterable[Any], ask: Ask | None = None
) -> tuple[Scores, Tensor]:
    """First-order importance: how fast the loss changes as a member is shut off; of groups, and of blocks.

    Wherever members are read their values are multiplied by a gate, which is 1: one for each row and member. What the
    loss changes when a gate goes to 0 is to first order |∂loss/∂gate| = |Σ x ∂loss/∂x| over all that the member gives,
    summed over rows (Michel et al. 2019; Molchanov et al. 2019, with a gate in place of a weight). The gate of a block
    is at what it adds: x + gate (block(x) - x).

    Nothing is learnt here: gradients are asked of these gates alone by `torch.autograd.grad`, which writes to no
    weight's `.grad` and knows no optimizer. Losses that teach are divided, and their gradients taken, in the training
    loop only.
    """
    scores: Scores = {group: torch.zeros(count) for group, count in parts.members.items()}
    influence = torch.zeros(len(stack))
    ask = ask or (lambda batch: own_loss(model, batch))
    gates: dict[tuple[str | int, int], Tensor] = {}

    def gate(of: str | int, given: Tensor) -> Tensor:
        count = parts.members[of] if isinstance(of, str) else 1
        if (of, len(given)) not in gates:
            gates[of, len(given)] = torch.ones(len(given), count, device=given.device, requires_grad=True)
        return gates[of, len(given)]

    hooks = [
        (layer, _at_gates(parts, sections, channel, gate)) for layer, sections, channel in readers(model, parts.axes)
    ]
    with looking(model, hooks), _after_blocks(stack, _gate_block(gate)), torch.enable_grad():
        for batch in batches:
            gates.clear()
            loss = ask(batch)
            keys, leaves = list(gates), list(gates.values())
            for (of, _), slope in zip(keys, torch.autograd.grad(loss, leaves, allow_unused=True), strict=True):
                if slope is None:
                    continue
                felt = slope.abs().sum(0).cpu()
                if isinstance(of, str):
                    scores[of] += felt
                else:
                    influence[of] += felt.squeeze(0)
    return scores, influence


def _at_gates(parts: Parts, sections: tuple[Section, ...], channel: int, gate: Callable[[str, Tensor], Tensor]) -> Hook:
    """A hook that multiplies what a layer reads by the gates of its members."""

    def gated(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        given = inputs[0]
        pieces = []
        for group, part in split(given.movedim(channel, -1), sections, parts.members):
            here = gate(group, given).to(part.dtype)
            pieces.append((part * here.view(len(here), *[1] * (part.dim() - 3), -1, 1)).flatten(-2))
        return (torch.cat(pieces, -1).movedim(-1, channel), *inputs[1:])

    return gated


_Seen = Callable[[int, Tensor, Tensor], Tensor | None]
"""Called with the number of a block, what enters it and what leaves; what it gives, if anything, leaves instead."""


def _gate_block(gate: Callable[[int, Tensor], Tensor]) -> _Seen:
    def gated(index: int, entered: Tensor, left: Tensor) -> Tensor | None:
        if entered.shape != left.shape:
            return None
        here = gate(index, entered).to(left.dtype)
        return entered + here.view(-1, *[1] * (left.dim() - 1)) * (left - entered)

    return gated


def _after_blocks(stack: Sequence[nn.Module], seen: _Seen) -> ExitStack:
    """While this is open, what enters and leaves each block is shown."""
    open_now = ExitStack()
    for index, block in enumerate(stack):

        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any, index: int = index) -> Any:
            entered = args[0] if args else kwargs["hidden_states"]
            changed = seen(index, entered, output[0] if isinstance(output, tuple) else output)
            return changed if changed is None or not isinstance(output, tuple) else (changed, *output[1:])

        open_now.callback(block.register_forward_hook(hook, with_kwargs=True).remove)
    return open_now


@torch.no_grad()
def by_wanda(model: nn.Module, parts: Parts, batches: Iterable[Given]) -> Scores:
    """Σ_i |W_ij| ‖X_j‖₂ over the outputs i of each layer that reads a member; of a head over its inputs j too."""
    scores: Scores = {group: torch.zeros(count) for group, count in parts.members.items()}
    seen = input_norms(model, [layer for layer, _, _ in readers(model, parts.axes)], batches)
    for layer, sections, _ in readers(model, parts.axes):
        weight: Any = layer.weight
        turned = isinstance(layer, Conv1D) or getattr(layer, "transposed", False)
        rows = weight.detach().float().movedim(0 if turned else 1, 0).flatten(1).abs().sum(1).cpu()
        for group, part in split(rows * seen[layer], sections, parts.members):
            scores[group] += part.sum(-1)
    return scores


@torch.no_grad()
def input_norms(model: nn.Module, layers: Iterable[nn.Module], batches: Iterable[Given]) -> dict[nn.Module, Tensor]:
    """‖X_j‖₂ of each input j of some layers, over all rows and positions that count, `[inputs]`."""
    squares: dict[nn.Module, Tensor] = {}
    padding: list[Tensor | None] = [None]

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        convolves = hasattr(layer, "kernel_size")
        given = inputs[0].movedim(1, -1) if convolves else inputs[0]
        mask = padding[0]
        if mask is not None and mask.shape == given.shape[:-1]:
            given = given * mask.to(given).unsqueeze(-1)
        found = given.float().square().flatten(0, -2).sum(0).cpu()
        squares[layer] = squares[layer] + found if layer in squares else found

    with looking(model, [(layer, look) for layer in layers]):
        for batch in batches:
            padding[0] = batch.get("attention_mask") if isinstance(batch, Mapping) else None
            call(model, batch)
    return {layer: found.sqrt() for layer, found in squares.items()}


@torch.no_grad()
def block_influence(model: nn.Module, stack: Sequence[nn.Module], batches: Iterable[Given]) -> Tensor:
    """1 - the mean over positions of cos(what enters a block, what leaves it), `[blocks]`.

    Infinite for a block that gives another shape than it takes, which cannot be left out. Men et al. 2024
    (arxiv.org/abs/2403.03853).
    """
    sums, counts = torch.zeros(len(stack)), torch.zeros(len(stack))
    padding: list[Tensor | None] = [None]

    def seen(index: int, entered: Tensor, left: Tensor) -> None:
        if entered.shape != left.shape:
            sums[index], counts[index] = -torch.inf, 1
            return
        alike = functional.cosine_similarity(entered.float(), left.float(), dim=1 if left.dim() == 4 else -1)
        mask = padding[0]
        weights = mask.to(alike) if mask is not None and mask.shape == alike.shape else torch.ones_like(alike)
        sums[index] += (alike * weights).sum().cpu()
        counts[index] += weights.sum().cpu()

    with looking(model, ()), _after_blocks(stack, seen):
        for batch in batches:
            padding[0] = batch.get("attention_mask") if isinstance(batch, Mapping) else None
            call(model, batch)
    return 1 - sums / counts.clamp_min(1)


def _by_size(stack: Sequence[nn.Module]) -> Tensor:
    """The sum of |w| over the matrices of each block, `[blocks]`."""
    return torch.tensor(
        [
            sum(float(weight.detach().abs().sum()) for weight in block.parameters() if weight.dim() > 1)
            for block in stack
        ]
    )
