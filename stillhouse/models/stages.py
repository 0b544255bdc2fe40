"""Models in stages (ResNet, ConvNeXt): which channels belong together, and copies with fewer blocks and channels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights

from stillhouse.errors import UsageError
from stillhouse.models.inherit import Axes, Parts, Scores, Section, check_names, inherit, largest

__all__ = ["cut_stages", "depths_of", "in_stages", "narrow_stages", "narrows", "stage_blocks", "stage_parts"]

_NARROWED = ("resnet", "convnext")
"""Models whose blocks are layers in a row beside a shortcut. Others branch (squeeze and excitation, for one)."""
_Axes = defaultdict[str, dict[int, tuple[Section, ...]]]
Weigh = Callable[[nn.Module, Axes, Mapping[str, int]], Scores]
"""How much each member of each group matters, of a model, what its axes are made of, and the members of groups."""


def in_stages(model: nn.Module) -> bool:
    """Whether a model is one that `shrink_stages` can take: stages of layers, with depths and widths for each."""
    config = getattr(model, "config", None)
    stages = _stages(model)
    return bool(stages) and len(stages) == len(getattr(config, "depths", ())) == len(
        getattr(config, "hidden_sizes", ())
    )


def narrows(model: nn.Module) -> bool:
    """Whether it is known how channels flow through a model in stages."""
    return getattr(model.config, "model_type", None) in _NARROWED and isinstance(model, PreTrainedModel)


def stage_blocks(model: nn.Module) -> list[list[nn.Module]]:
    """The blocks of each stage."""
    return [list(stage.layers) for stage in _stages(model)]  # pyright: ignore[reportArgumentType]


def depths_of(model: nn.Module) -> list[int]:
    """How many blocks each stage has."""
    return [len(stage) for stage in stage_blocks(model)]


def cut_stages(model: nn.Module, kept: Sequence[Sequence[int]]) -> nn.Module:
    """A copy with the blocks `kept` of each stage."""
    return _fewer(model, kept, share=False)


def narrow_stages(
    model: nn.Module, kept: Sequence[Sequence[int]], width: Sequence[int], weigh: Weigh
) -> PreTrainedModel:
    """A copy with the blocks `kept` of each stage and `width` channels in each, those that `weigh` most.

    What lies inside a block follows in proportion, and so does the stem in front of the first stage.
    """
    old = list(model.config.hidden_sizes)  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    if len(width) != len(old) or any(not 1 <= count <= most for count, most in zip(width, old, strict=True)):
        raise UsageError(
            f"Widths {list(width)} cannot be had from {type(model).__name__}, whose stages have {old} channels; give "
            "one number for each stage, none larger."
        )
    _check_known(model)
    fewer = _fewer(model, kept, share=True)
    found = stage_parts(fewer)
    narrower = _build(fewer, list(width))
    goal = _members(narrower, found.axes)
    scores = weigh(fewer, found.axes, found.members)
    best = {group: largest(scores[group], goal[group]) for group in found.members}
    inherit(narrower, fewer, found.axes, found.members, best)
    narrower.train(model.training)
    return narrower


def _check_known(model: nn.Module) -> None:
    if not narrows(model):
        raise UsageError(
            f"How channels flow through {type(model).__name__} is not known, so only its number of blocks can be "
            f"changed; {' and '.join(_NARROWED)} of Transformers can be made narrower too."
        )


def _stages(model: nn.Module) -> list[nn.Module]:
    """The stages of a model, each with its blocks in `layers`."""
    lists = [getattr(module, "stages", None) for module in model.modules()]
    found = [stages for stages in lists if isinstance(stages, nn.ModuleList)]
    return [stage for stage in found[0] if hasattr(stage, "layers")] if found else []


def _fewer(model: nn.Module, kept: Sequence[Sequence[int]], share: bool) -> Any:
    """A copy with fewer blocks in each stage, whose weights are the model's own where `share`."""
    shared = [*model.parameters(), *model.buffers()] if share else []
    smaller = deepcopy(model, {id(thing): thing for thing in shared})
    for stage, chosen in zip(_stages(smaller), kept, strict=True):
        every: Any = stage.layers
        left = [every[index] for index in chosen]
        del every[:]
        every.extend(left)
    smaller.config.depths = [len(chosen) for chosen in kept]  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    return smaller


def _build(cut: PreTrainedModel, width: list[int]) -> PreTrainedModel:
    """A model of the same class with other channels, its weights not yet filled."""
    config: Any = deepcopy(cut.config)
    if hasattr(config, "embedding_size"):
        config.embedding_size = max(1, config.embedding_size * width[0] // config.hidden_sizes[0])
    config.hidden_sizes = width
    with torch.random.fork_rng(devices=[]), no_init_weights():
        student: Any = type(cut)(config)
    check_names(student, cut)
    return student.to(cut.device)


def _members(model: nn.Module, plan: Axes) -> dict[str, int]:
    """How many channels each group has, from the shapes of a model's weights."""
    weights = model.state_dict()
    members: dict[str, int] = {}
    for name, axes in plan.items():
        for axis, (section,) in axes.items():
            members[section.group] = weights[name].shape[axis]
    return members


def stage_parts(model: nn.Module) -> Parts:
    """What the axes of each weight are made of: channels of the stem, of a stage, or inside a block.

    A stage that begins without a projection adds to what comes in, so its channels are those of the stem.
    """
    _check_known(model)
    plan: _Axes = defaultdict(dict)
    names = {part: name for name, part in model.named_modules()}
    stages = _stages(model)
    inside = {part for stage in stages for part in stage.modules()}
    order = list(names)
    first = order.index(stages[0])
    before, after = (
        [part for part in _weighted(model) if part in some and part not in inside]
        for some in (order[:first], order[first:])
    )
    flow = "stem" if _projects(stages[0]) else "stage.0"
    _walk(plan, names, before, (None, flow))
    for index, stage in enumerate(stages):
        own = f"stage.{index}"
        entrance = _weighted(getattr(stage, "downsampling_layer", None))
        _walk(plan, names, entrance, (flow, own))
        flow = own if entrance else flow
        for block in stage.layers:  # pyright: ignore[reportGeneralTypeIssues]
            shortcut = _weighted(getattr(block, "shortcut", None))
            _walk(plan, names, shortcut, (flow, own))
            _walk(plan, names, [part for part in _weighted(block) if part not in shortcut], (flow, own))
            flow = own
    _walk(plan, names, after, (flow, None))
    return Parts(plan, _members(model, plan))


def _walk(
    plan: _Axes, names: Mapping[nn.Module, str], parts: list[nn.Module], ends: tuple[str | None, str | None]
) -> None:
    """Follow channels through parts in a row: the group that comes in, one of its own after each convolution but the
    last, and after that the group that goes out. None stands for what is not cut: pixels and labels.
    """
    group, out = ends
    mixing = [part for part in parts if _mixes(part)]
    for part in parts:
        into, name = group, names[part]
        if _mixes(part):
            group = out if part is mixing[-1] else name
        for kind, weight in part.state_dict().items():
            if "." not in kind and weight.dim() and group is not None:
                plan[f"{name}.{kind}"][0] = (Section(group),)
            if kind == "weight" and _mixes(part) and into is not None:
                plan[f"{name}.{kind}"][1] = (Section(into),)


def _weighted(module: nn.Module | None) -> list[nn.Module]:
    """The parts of a module that have weights of their own, in order."""
    parts = () if module is None else module.modules()
    return [part for part in parts if next(part.parameters(recurse=False), None) is not None]


def _mixes(part: nn.Module) -> bool:
    """Whether a layer mixes channels: linear layers and convolutions do, norms and one filter per channel do not."""
    return part.groups == 1 if isinstance(part, nn.Conv2d) else isinstance(part, nn.Linear)


def _projects(stage: nn.Module) -> bool:
    """Whether a stage begins by turning the channels that come in into its own."""
    first: Any = stage.layers[0]  # pyright: ignore[reportIndexIssue]
    return bool(_weighted(getattr(stage, "downsampling_layer", None)) or _weighted(getattr(first, "shortcut", None)))
