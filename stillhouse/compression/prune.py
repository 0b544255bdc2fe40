"""Prune: heads, hidden units, width, channels and whole layers are taken out, and the model is smaller for it."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights

from stillhouse.compression.importance import Importance, stack_of
from stillhouse.errors import UsageError
from stillhouse.models.channels import keep_channels
from stillhouse.models.inherit import Axes, Scores, call, check_names, inherit, largest
from stillhouse.models.layers import Sizes, blocks, sizes
from stillhouse.models.resize import cut, frees_heads, narrow, settle, thaw
from stillhouse.models.stages import cut_stages, depths_of, in_stages, narrow_stages

__all__ = ["PrunePlan", "fitting_heads", "kept_of", "prune"]

Amount = int | float | None
"""How many are kept, or (a float, up to 1.0) which share; None for all."""


@final
@dataclass(frozen=True)
class PrunePlan:
    """What is kept of a model: counts (whole numbers) or shares (floats up to 1.0); None for all of it.

    Every block keeps as many heads and units as the others, as configurations of Transformers want it.
    """

    layers: int | float | tuple[int, ...] | None = None
    """Blocks; of a model in stages, blocks of each stage."""
    heads: Amount = None
    kv_heads: Amount = None
    """Heads of keys and values where queries share them; by default as many as fit the heads kept."""
    ffn: Amount = None
    """Hidden units of the feed-forward part."""
    width: Amount = None
    """The size of hidden states."""
    channels: float | tuple[int, ...] | Mapping[str, int] | None = None
    """Of convolutional models in stages a share or the channels of each stage; of MobileNets a share; of plain modules
    a share or a count for each group, by its name."""
    multiple: int = 8
    """What a share of units, width or channels comes to is rounded to a multiple of this, for the sake of kernels."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            wrong = isinstance(value, float) and not 0 < value <= 1
            if wrong or isinstance(value, bool) or (isinstance(value, int) and value < 1):
                raise UsageError(
                    f"A plan cannot keep {field.name} = {value}: give a count of 1 or more, or a share above 0 and up "
                    "to 1.0."
                )
        if isinstance(self.channels, int):
            raise UsageError(f"A plan cannot keep {self.channels} channels of everything: give a share, such as 0.5.")


def kept_of(total: int, amount: Amount, multiple: int = 1) -> int:
    """How many of `total` an amount means; a share is rounded to a multiple where there is more than one of it."""
    if amount is None:
        return total
    if not isinstance(amount, float):
        return amount
    step = multiple if total > multiple else 1
    return min(total, max(step, round(total * amount / step) * step))


def prune(model: nn.Module, plan: PrunePlan, scores: Importance) -> nn.Module:
    """A physically smaller copy of `model` that keeps what matters most by `scores`; the model stays as it is.

    Transformers: any of layers, heads, units and width, uniform over blocks, so that `save_pretrained` writes an
    ordinary folder. Heads without width need a class that heeds `head_dim` (Llama, Qwen, Mistral, Gemma, ViT, DeiT);
    BERT, RoBERTa, DistilBERT and GPT-2 compute it as width / heads, so there heads go together with width. ResNet and
    ConvNeXt: layers and channels of stages. MobileNetV1 and V2: a share of all channels, which their configuration
    calls `depth_multiplier`. Any other module of convolutions and linear layers: channels. Everything kept gives the
    model itself, so several rounds of a little, each healed by training, can follow one another.

    Raises UsageError where a configuration cannot say what is asked for, or the scores are of another model.
    """
    _check_same(model, scores)
    if in_stages(model):
        return thaw(_prune_stages(model, plan, scores))
    if not isinstance(model, PreTrainedModel) or hasattr(model.config, "depth_multiplier"):
        return thaw(_prune_channels(model, plan, scores))
    if plan.channels is not None:
        raise UsageError(f"{type(model).__name__} has no channels to be pruned, but layers, heads, ffn and width.")
    return thaw(_prune_transformer(model, plan, scores))


def _check_same(model: nn.Module, scores: Importance) -> None:
    weights = model.state_dict()
    members = scores.parts.members
    for name, axes in scores.parts.axes.items():
        for axis, sections in axes.items() if name in weights else ():
            length = sum(members[section.group] * section.unit for section in sections)
            if weights[name].shape[axis] != length:
                raise UsageError(
                    f"The scores are of another model: its {name} had {length} entries where this one has "
                    f"{weights[name].shape[axis]}. Score this model; after pruning, score again."
                )
    if scores.layers is not None and len(scores.layers) != len(stack_of(model)):
        raise UsageError(
            f"The scores are of another model, of {len(scores.layers)} layers; this one has {len(stack_of(model))}. "
            "Score this model; after pruning, score again."
        )
    if not scores.parts.axes.keys() & weights.keys() and scores.layers is None:
        raise UsageError("The scores are of another model, which shares no weights with this one. Score this model.")


def _prune_transformer(model: PreTrainedModel, plan: PrunePlan, scores: Importance) -> nn.Module:
    depth = len(blocks(model))
    if isinstance(plan.layers, tuple):
        raise UsageError(f"{type(model).__name__} has no stages: give layers as one count or share, not {plan.layers}.")
    layers = _best_layers(model, scores.layers, kept_of(depth, plan.layers))
    if (plan.heads, plan.kv_heads, plan.ffn, plan.width) == (None, None, None, None):
        return cut(model, layers)
    goal = _goal(model, plan)

    def weigh(fewer: nn.Module, axes: Axes, members: Mapping[str, int]) -> Scores:
        return _carried(model, scores, fewer, axes, members)

    return narrow(model, layers, goal, weigh)


def _best_layers(model: nn.Module, scores: Tensor | None, keep: int) -> tuple[int, ...]:
    """The blocks that matter most, in order; the first is among them where it is of another kind than the second."""
    name, shapes = type(model).__name__, [[weight.shape for weight in block.parameters()] for block in blocks(model)]
    depth = len(shapes)
    if not 1 <= keep <= depth:
        raise UsageError(f"{keep} layers cannot be kept of {name}, which has {depth}; choose 1 to {depth}.")
    if keep == depth:
        return tuple(range(depth))
    if scores is None:
        raise UsageError(f"The scores say nothing of the layers of {name}. Score it again.")
    special = torch.zeros_like(scores)
    special[0] = torch.inf if shapes[0] != shapes[1] else 0
    return tuple(largest(scores + special, keep).tolist())


def _goal(model: PreTrainedModel, plan: PrunePlan) -> Sizes:
    """The sizes that a plan means for one model; shares come to sizes that can be had."""
    old = sizes(model)
    free = frees_heads(model)
    ffn = None if plan.ffn is None else kept_of(old.ffn, plan.ffn, plan.multiple)
    width = None if plan.width is None else kept_of(old.width, plan.width, plan.multiple if free else old.head_size)
    kv_heads = None if plan.kv_heads is None else kept_of(old.kv_heads, plan.kv_heads)
    heads = _heads(old, plan, free, kv_heads)
    if not free and heads not in (None, old.heads) and width is None:
        raise UsageError(
            f"{type(model).__name__} computes the size of its heads as width / heads, so its configuration cannot say "
            f"that {heads} of {old.heads} heads are kept at width {old.width}. Give width too "
            f"({heads * old.head_size if heads else 0} goes with {heads} heads), or prune ffn and layers."
        )
    return settle(model, width, heads, kv_heads, ffn)


def _heads(old: Sizes, plan: PrunePlan, free: bool, kv_heads: int | None) -> int | None:
    """How many heads a plan means; None where they follow the width."""
    if plan.heads is None:
        return old.heads if free else None
    if isinstance(plan.heads, int) or not free:
        return kept_of(old.heads, plan.heads)
    wanted = plan.heads * old.heads
    return min(fitting_heads(old, kv_heads), key=lambda count: (abs(count - wanted), count))


def fitting_heads(old: Sizes, kv_heads: int | None = None) -> list[int]:
    """The numbers of heads that can share heads of keys and values evenly, no more of them than now."""
    shared = old.heads // old.kv_heads
    kv = range(1, old.kv_heads + 1) if kv_heads is None else (kv_heads,)
    return sorted({count * each for count in kv for each in range(1, shared + 1)})


def _carried(
    whole: nn.Module, scores: Importance, fewer: nn.Module, axes: Axes, members: Mapping[str, int]
) -> dict[str, Tensor]:
    """The scores of a model for what is left of it after layers were dropped: of the same weights, the same scores."""
    names = {id(weight): name for name, weight in whole.named_parameters()}
    found: dict[str, Tensor] = {}
    for name, weight in fewer.named_parameters():
        theirs = scores.parts.axes.get(names.get(id(weight), ""), {})
        for axis, sections in axes.get(name, {}).items():
            for mine, other in zip(sections, theirs.get(axis, ()), strict=False):
                found[mine.group] = scores.scores[other.group]
    return {group: found.get(group, torch.zeros(count)) for group, count in members.items()}


def _prune_stages(model: nn.Module, plan: PrunePlan, scores: Importance) -> nn.Module:
    name, have = type(model).__name__, depths_of(model)
    _only(plan, name, "is built in stages", ("layers", "channels"))
    if isinstance(plan.channels, Mapping):
        raise UsageError(f"{name} takes channels as a share or the channels of each stage, not by group.")
    asked = (
        plan.layers if isinstance(plan.layers, tuple) else [kept_of(most, _least(plan.layers, most)) for most in have]
    )
    if len(asked) != len(have) or any(not 1 <= count <= most for count, most in zip(asked, have, strict=False)):
        raise UsageError(f"Layers {list(asked)} cannot be kept of {name}, whose stages have {have} blocks.")
    kept = _best_in_stages(scores.layers, asked, have)
    if plan.channels is None:
        return cut_stages(model, kept)
    old: list[int] = list(model.config.hidden_sizes)  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    share = plan.channels
    width = list(share) if isinstance(share, tuple) else [kept_of(size, share, plan.multiple) for size in old]

    def weigh(fewer: nn.Module, axes: Axes, members: Mapping[str, int]) -> Scores:
        return _carried(model, scores, fewer, axes, members)

    return narrow_stages(model, kept, width, weigh)


def _least(layers: Amount, most: int) -> Amount:
    """A count for all stages, of which some may have fewer blocks."""
    return layers if layers is None or isinstance(layers, float) else min(layers, most)


def _best_in_stages(scores: Tensor | None, asked: Any, have: list[int]) -> list[list[int]]:
    """The blocks of each stage that matter most; the first, which changes resolution and channels, always stays."""
    if scores is None:
        raise UsageError("The scores say nothing of layers. Score the model again.")
    kept = []
    for stage, count in zip(scores.split(have), asked, strict=True):
        first = torch.full_like(stage, -torch.inf)
        first[0] = torch.inf
        kept.append(largest(torch.maximum(stage, first), count).tolist())
    return kept


def _only(plan: PrunePlan, name: str, what: str, allowed: tuple[str, ...]) -> None:
    other = [
        field.name
        for field in fields(plan)
        if field.name not in (*allowed, "multiple") and getattr(plan, field.name) is not None
    ]
    if other:
        raise UsageError(f"{name} {what}: it has no {', '.join(other)} to be pruned, but {' and '.join(allowed)}.")


def _prune_channels(model: nn.Module, plan: PrunePlan, scores: Importance) -> nn.Module:
    name, parts = type(model).__name__, scores.parts
    _only(plan, name, "is a network of channels", ("channels",))
    if isinstance(plan.channels, tuple):
        raise UsageError(f"{name} has no stages: give channels as a share, or a count for each group by its name.")
    if plan.channels is None:
        return deepcopy(model)
    if isinstance(model, PreTrainedModel):
        return _multiplied(model, plan, scores)
    counts = _counts(plan, scores, name)
    smaller = keep_channels(model, parts, {group: largest(scores.scores[group], counts[group]) for group in counts})
    if scores.example is not None:
        _check_runs(smaller, scores.example)
    return smaller


def _counts(plan: PrunePlan, scores: Importance, name: str) -> dict[str, int]:
    """How many members of each group are kept."""
    parts, asked = scores.parts, plan.channels
    free = {group: count for group, count in parts.members.items() if group not in parts.fixed}
    if isinstance(asked, Mapping):
        wrong = [group for group, count in asked.items() if not 1 <= count <= free.get(group, 0)]
        if wrong:
            told = ", ".join(f"{group} ({count})" for group, count in free.items()) or "none"
            raise UsageError(f"{name} cannot keep {asked[wrong[0]]} channels of {wrong[0]!r}; its groups are: {told}.")
        return {group: asked.get(group, count) for group, count in parts.members.items()}
    if not free:
        raise UsageError(f"{name} has no channels that can be pruned: all of them go in or out, or are not followed.")
    share = {group: kept_of(count, asked, plan.multiple) for group, count in free.items()}  # pyright: ignore[reportArgumentType]
    return {group: share.get(group, count) for group, count in parts.members.items()}


def _check_runs(smaller: nn.Module, example: Any) -> None:
    training = smaller.training
    smaller.eval()
    try:
        with torch.no_grad():
            call(smaller, example)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{type(smaller).__name__} does not run with fewer channels; its code may name their number (as "
            f"`view(-1, 400)` does): {str(error).splitlines()[0]}"
        ) from error
    finally:
        smaller.train(training)


def _multiplied(model: PreTrainedModel, plan: PrunePlan, scores: Importance) -> PreTrainedModel:
    """A MobileNet whose configuration multiplies all its channels by a smaller number."""
    if not isinstance(plan.channels, float):
        raise UsageError(f"{type(model).__name__} takes channels as a share: its configuration has one number for all.")
    config: Any = deepcopy(model.config)
    config.depth_multiplier = config.depth_multiplier * plan.channels
    with torch.random.fork_rng(devices=[]), no_init_weights():
        smaller: Any = type(model)(config)
    smaller.to(model.device)
    check_names(smaller, model)
    counts = dict(scores.parts.members)
    weights = smaller.state_dict()
    for name, axes in scores.parts.axes.items():
        for axis, sections in axes.items():
            if len(sections) == 1:
                counts[sections[0].group] = weights[name].shape[axis] // sections[0].unit
    kept = {group: largest(scores.scores[group], count) for group, count in counts.items()}
    inherit(smaller, model, scores.parts.axes, scores.parts.members, kept)
    smaller.train(model.training)
    return smaller
