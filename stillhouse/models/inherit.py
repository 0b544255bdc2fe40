"""Give a narrower model the weights of a larger one: of the heads, hidden units and channels that matter most."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from transformers.pytorch_utils import Conv1D

from stillhouse.errors import UsageError

__all__ = [
    "Axes",
    "Given",
    "Hook",
    "Parts",
    "Scores",
    "Section",
    "by_activation",
    "by_weight",
    "call",
    "check_names",
    "entries",
    "importance",
    "inherit",
    "largest",
    "looking",
    "readers",
    "split",
]


@dataclass(frozen=True)
class Section:
    """A stretch of an axis: `unit` neighbouring entries for each member of a group, such as the heads of a block."""

    group: str
    unit: int = 1


Axes = Mapping[str, Mapping[int, tuple[Section, ...]]]
"""What the axes of each weight are made of, by the weight's name; axes that keep their size are not named."""
Scores = dict[str, Tensor]
"""How much each member of each group matters, `[members]`."""
Given = Mapping[str, Tensor] | Sequence[Tensor] | Tensor
"""What a model is called with: arguments by name, in order, or one alone."""

Hook = Callable[[nn.Module, tuple[Tensor, ...]], Any]
"""Called with a layer and what it is given; what it gives, if anything, takes the place of that."""


@dataclass(frozen=True)
class Parts:
    """What a model is made of: the groups that the axes of its weights hold, and how many members each has."""

    axes: Axes
    members: Mapping[str, int]
    fixed: frozenset[str] = frozenset()
    """Groups of which nothing can be taken."""


_FORGET = 1e-30
"""Below this a squared norm counts as nothing, so that its logarithm is finite."""


def importance(
    teacher: nn.Module,
    cut: nn.Module,
    plan: Axes,
    members: Mapping[str, int],
    batches: Iterable[Given] | None,
) -> Scores:
    """How much the members of a plan of `cut`, a copy of the teacher with fewer layers, matter.

    On `batches` that is seen in the whole teacher, not in what is left of it; without them, by the weights. The two
    models must hold the same weights.
    """
    if batches is None:
        return by_weight(cut, plan, members)
    axes = {id(weight): plan[name] for name, weight in cut.named_parameters() if name in plan}
    theirs = {
        name: axes[id(weight)]
        for name, weight in teacher.named_parameters(remove_duplicate=False)
        if id(weight) in axes
    }
    return by_activation(teacher, theirs, members, batches)


@torch.no_grad()
def by_weight(model: nn.Module, plan: Axes, members: Mapping[str, int]) -> Scores:
    """Importance without data, from the weights alone.

    A channel that goes through norms: sum over them of |gain|, the size that they give it; so convolutions are cut in
    network slimming (Liu et al. 2017, arxiv.org/abs/1708.06519). Any other member: sum over the matrices that it is
    part of of log ||its entries||². That is a product of norms (for a hidden unit ||W_in|| ||W_out||), which does not
    change when one weight is scaled up and the next one down. Members of neither score 0.
    """
    scores: Scores = {group: torch.zeros(count) for group, count in members.items()}
    for name, weight in model.named_parameters():
        for axis, sections in plan.get(name, {}).items() if weight.dim() > 1 else ():
            others = [other for other in range(weight.dim()) if other != axis]
            norms = torch.linalg.vector_norm(weight.detach(), dim=others, dtype=torch.float32)
            for group, part in split(norms, sections, members):
                scores[group] += part.square().sum(-1).clamp_min(_FORGET).log().cpu()
    return scores | _gains(model, plan, members)


def _gains(model: nn.Module, plan: Axes, members: Mapping[str, int]) -> Scores:
    """The sum of |gain| over the norms that the channels of a group go through, where there are any."""
    scores: Scores = {}
    for name, module in model.named_modules():
        sections = plan.get(f"{name}.weight", {}).get(0, ())
        weight = getattr(module, "weight", None)
        if weight is None or weight.dim() != 1 or any(section.unit > 1 for section in sections):
            continue
        for group, part in split(_gain(module, weight), sections, members) if sections else ():
            scores[group] = scores.get(group, torch.zeros(members[group])) + part.squeeze(-1).cpu()
    return scores


def _gain(norm: nn.Module, weight: Tensor) -> Tensor:
    """|gain| of each channel; asked of the norm where it may be more than the weight (Gemma's is 1 + weight)."""
    if isinstance(norm, nn.LayerNorm | _NormBase):
        return weight.abs().float()
    signs = torch.ones_like(weight)
    signs[::2] = -1  # of mean square 1, and of mean 0 where a norm takes that out
    return norm(signs).abs().float()


@torch.no_grad()
def by_activation(model: nn.Module, plan: Axes, members: Mapping[str, int], batches: Iterable[Given]) -> Scores:
    """Importance on data: sum over layers that read a member, and over positions, of the L2 norm of what it gives.

    For a hidden unit or a channel that is sum |activation|; for a head the norm of its `head_size` outputs
    (Minitron, Muralidharan et al. 2024, arxiv.org/abs/2407.14679). Positions of padding do not count. `batches`
    are what the model is called with; it runs in evaluation mode.
    """
    scores: Scores = {group: torch.zeros(count) for group, count in members.items()}
    padding: list[Tensor | None] = [None]

    def look(sections: tuple[Section, ...], channel: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            given = inputs[0].movedim(channel, -1).float()
            mask = padding[0]
            if mask is not None and mask.shape == given.shape[:-1]:
                given = given * mask.to(given).unsqueeze(-1)
            for group, part in split(given, sections, members):
                scores[group] += torch.linalg.vector_norm(part, dim=-1).reshape(-1, members[group]).sum(0).cpu()

        return hook

    hooks = [(layer, look(sections, channel)) for layer, sections, channel in readers(model, plan)]
    with looking(model, hooks):
        seen = 0
        for seen, batch in enumerate(batches, start=1):  # noqa: B007
            padding[0] = batch.get("attention_mask") if isinstance(batch, Mapping) else None
            call(model, batch)
    if not seen:
        raise UsageError("There is no batch to see what matters on. Give some, or none at all to go by the weights.")
    return scores


@contextmanager
def looking(model: nn.Module, hooks: Iterable[tuple[nn.Module, Hook]]) -> Generator[None]:
    """While this is open, a model is in evaluation mode and its layers call hooks before they run."""
    training = model.training
    handles = [layer.register_forward_pre_hook(hook) for layer, hook in hooks]
    model.eval()
    try:
        yield
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()


def call(model: nn.Module, given: Given) -> Any:
    """What a model says of a batch, which is put on its device."""
    device = next(model.parameters()).device
    if isinstance(given, Tensor):
        return model(given.to(device))
    if isinstance(given, Mapping):
        return model(**{name: value.to(device) for name, value in given.items()})
    return model(*(value.to(device) for value in given))


def readers(model: nn.Module, plan: Axes) -> Iterable[tuple[nn.Module, tuple[Section, ...], int]]:
    """Layers that read members of groups: the layer, what its inputs are made of, and the axis they lie on."""
    for name, layer in model.named_modules():
        turned = isinstance(layer, Conv1D) or getattr(layer, "transposed", False)  # their weight is [inputs, outputs]
        channel = 1 if isinstance(layer, _ConvNd) else -1
        sections = plan.get(f"{name}.weight", {}).get(0 if turned else 1)
        if sections is not None and not isinstance(layer, nn.Embedding):
            yield layer, sections, channel


def split(values: Tensor, sections: Sequence[Section], members: Mapping[str, int]) -> Iterable[tuple[str, Tensor]]:
    """The last axis of `values` cut into its sections, each `[..., members, unit]`."""
    lengths = [members[section.group] * section.unit for section in sections]
    for section, part in zip(sections, values.split(lengths, dim=-1), strict=True):
        yield section.group, part.unflatten(-1, (-1, section.unit))


def check_names(student: nn.Module, teacher: nn.Module) -> None:
    """Raise UsageError where a student has other weights than its teacher, whatever their shapes."""
    odd = sorted(student.state_dict().keys() ^ teacher.state_dict().keys())
    if odd:
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        raise UsageError(
            f"A {type(student).__name__} of these sizes is built otherwise than its teacher: they do not share "
            f"{', '.join(odd[:3])}{more}. Choose other sizes, or only fewer layers."
        )


def largest(scores: Tensor, keep: int) -> Tensor:
    """The indices `[keep]` of the largest scores, in their order; of equals the first."""
    return scores.argsort(descending=True, stable=True)[:keep].sort().values


@torch.no_grad()
def inherit(
    student: nn.Module, teacher: nn.Module, plan: Axes, members: Mapping[str, int], kept: Mapping[str, Tensor]
) -> None:
    """Copy the teacher's weights into a student of the same names, of each group only the members `kept`.

    Tied weights stay tied; number format and device are the teacher's. Raises UsageError where what is kept does
    not fill the student's weight.
    """
    given, mine = teacher.state_dict(keep_vars=True), student.state_dict(keep_vars=True)
    for name, weight in mine.items():
        part = given[name].detach()
        axes = plan.get(name, {})
        for axis, sections in axes.items():
            part = part.index_select(axis, entries(sections, members, kept).to(part.device))
        if part.shape != weight.shape:
            raise UsageError(
                f"{name} would have shape {list(part.shape)} and the student's has {list(weight.shape)}: what its "
                "axes are made of is not known. Choose other sizes, or only fewer layers."
            )
        weight.data = part if axes else part.clone()


def entries(sections: Sequence[Section], members: Mapping[str, int], kept: Mapping[str, Tensor]) -> Tensor:
    """The indices along an axis that belong to the members kept."""
    found: list[Tensor] = []
    start = 0
    for section in sections:
        places = kept[section.group].unsqueeze(-1) * section.unit + torch.arange(section.unit)
        found.append(start + places.flatten())
        start += members[section.group] * section.unit
    return torch.cat(found)
