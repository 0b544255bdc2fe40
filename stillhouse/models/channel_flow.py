"""What operations do to channels: which axes of tensors and weights hold which groups, and which belong together."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any, final

from torch import Tensor, nn

from stillhouse.models.inherit import Parts, Section

__all__ = ["RULES", "Flow", "Tag"]

_Sections = tuple[Section, ...]
Tag = dict[int, _Sections]
"""What the axes of a tensor in flight hold; axes that hold no channels are not named."""


@final
class Flow:
    """What is known of channels so far, while a network runs."""

    def __init__(self, model: nn.Module) -> None:
        weights = [*model.named_parameters(), *model.named_buffers()]
        self.names = {id(weight): name for name, weight in weights}
        self.members: dict[str, int] = {}
        """How many channels each group has, in the order in which they were made."""
        self.tags: dict[int, Tag] = {}
        self.turned: dict[int, Tensor] = {}
        """The weights of which tensors are transposed views."""
        self._same: dict[str, str] = {}
        self._fixed: set[str] = set()
        self._held: dict[int, dict[int, _Sections | None]] = {}

    def tag(self, tensor: Any) -> Tag:
        """What the axes of a tensor hold."""
        return self.tags.get(id(tensor), {})

    def make(self, layer: Tensor, count: int) -> _Sections:
        """The group of channels that a layer makes."""
        name = self.names[id(layer)].removesuffix(".weight")
        if name not in self.members:
            self.members[name], self._same[name] = count, name
        return (Section(name),)

    def root(self, group: str) -> str:
        """The first group of those that belong together with a group."""
        while self._same[group] != group:
            group = self._same[group]
        return group

    def join(self, one: _Sections, other: _Sections) -> _Sections:
        """From now on, the members of both are kept or dropped together."""
        alike = [(section.unit, self.members[section.group]) for section in one] == [
            (section.unit, self.members[section.group]) for section in other
        ]
        if not alike:
            self.fix_sections((*one, *other))
            return one
        for mine, theirs in zip(one, other, strict=True):
            first, second = sorted((self.root(mine.group), self.root(theirs.group)), key=list(self.members).index)
            self._same[second] = first
        return one

    def fix(self, tensor: Tensor) -> None:
        """What a tensor holds must stay."""
        for sections in self.tag(tensor).values():
            self.fix_sections(sections)

    def fix_sections(self, sections: Iterable[Section]) -> None:
        self._fixed.update(section.group for section in sections)

    def length(self, sections: _Sections) -> int:
        """How many entries an axis of these sections has."""
        return sum(self.members[section.group] * section.unit for section in sections)

    def hold(self, weight: Tensor | None, axis: int, sections: _Sections | None) -> None:
        """An axis of a weight holds sections, or nothing that can be cut."""
        if weight is None:
            return
        axes = self._held.setdefault(id(weight), {})
        before = axes.setdefault(axis, sections)
        if before is None or sections is None:  # once channels, and once not
            self.fix_sections((*(before or ()), *(sections or ())))
        else:
            self.join(before, sections)

    def parts(self, model: nn.Module) -> Parts:
        """What was found, by the names of the model's weights."""
        fixed = frozenset(self.root(group) for group in self._fixed)
        axes: dict[str, dict[int, _Sections]] = {}
        for name, weight in model.state_dict(keep_vars=True).items():
            for axis, sections in self._held.get(id(weight), {}).items():
                rooted = tuple(Section(self.root(section.group), section.unit) for section in sections or ())
                if any(section.group not in fixed for section in rooted):
                    axes.setdefault(name, {})[axis] = rooted
        used = {section.group for one in axes.values() for sections in one.values() for section in sections}
        members = {group: self.members[group] for group in self.members if group in used}
        return Parts(axes, members, fixed & used)


_Rule = Callable[[Flow, Sequence[Any], Mapping[str, Any], Tensor], Tag]


def _stays(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    """Each number becomes another."""
    return flow.tag(args[0])


def _together(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    """Numbers of several tensors become one, after broadcasting."""
    tag: Tag = {}
    given = [part for part in args if isinstance(part, Tensor)]
    for axis in range(out.dim()):
        behind = out.dim() - axis
        here = [(part, part.dim() - behind) for part in given if part.dim() >= behind]
        here = [(part, own) for part, own in here if part.shape[own] == out.shape[axis]]
        held = [sections for part, own in here if (sections := flow.tag(part).get(own)) is not None]
        for sections in held[1:]:
            flow.join(held[0], sections)
        for part, own in here if held else ():
            if own not in flow.tag(part):
                _lacks(flow, part, own, held[0])
        if held:
            tag[axis] = held[0]
    return tag


def _lacks(flow: Flow, part: Tensor, axis: int, sections: _Sections) -> None:
    """Something without channels meets channels: a weight has one entry for each, anything else keeps them."""
    if id(part) in flow.names:
        flow.hold(part, axis, sections)
    else:
        flow.fix_sections(sections)


def _convolved(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    given, weight, bias, transposed, groups = args[0], args[1], args[2], args[6], args[8]
    into = flow.tag(given).get(1)
    if id(weight) not in flow.names:
        flow.fix(given)
        return {}
    if groups == 1:
        flow.hold(weight, 0 if transposed else 1, into)
        made = flow.make(weight, out.shape[1])
        flow.hold(weight, 1 if transposed else 0, made)
    elif into is not None and groups == given.shape[1] and not transposed:
        times = out.shape[1] // groups
        made = tuple(Section(section.group, section.unit * times) for section in into)
        flow.hold(weight, 0, made)
    else:
        flow.fix(given)
        return {}
    flow.hold(bias, 0, made)
    return {1: made}


def _linear(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    return _multiplied(flow, args[0], args[1], args[2] if len(args) > 2 else None, out, turned=True)


def _added_product(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    return _product(flow, args[1:], args[0], out)


def _plain_product(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    return _product(flow, args, None, out)


def _product(flow: Flow, args: Sequence[Any], bias: Tensor | None, out: Tensor) -> Tag:
    given, weight = args[0], args[1]
    whole = flow.turned.get(id(weight))
    return _multiplied(flow, given, weight if whole is None else whole, bias, out, turned=whole is not None)


def _multiplied(flow: Flow, given: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor, turned: bool) -> Tag:
    """Inputs times a weight, which is [outputs, inputs] if `turned`."""
    if id(weight) not in flow.names or weight.dim() != 2:
        for part in (given, weight):
            flow.fix(part)
        return {}
    flow.hold(weight, int(turned), flow.tag(given).get(given.dim() - 1))
    made = flow.make(weight, out.shape[-1])
    flow.hold(weight, int(not turned), made)
    flow.hold(bias, 0, made)
    kept = {axis: sections for axis, sections in flow.tag(given).items() if axis < given.dim() - 1}
    return {**kept, out.dim() - 1: made}


def _normed(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    """A norm of every channel over the batch."""
    tag = flow.tag(args[0])
    for weight in args[1:5]:
        if isinstance(weight, Tensor):
            flow.hold(weight, 0, tag.get(1))
    return tag


def _layer_normed(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    tag = flow.tag(args[0])
    if len(args[1]) > 1:
        flow.fix(args[0])
    else:
        for weight in args[2:4]:
            if isinstance(weight, Tensor):
                flow.hold(weight, 0, tag.get(args[0].dim() - 1))
    return tag


def _pooled(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    """What happens within each channel."""
    kept: Tag = {}
    for axis, sections in flow.tag(args[0]).items():
        if axis == 1 and out.shape[1] == args[0].shape[1]:
            kept[axis] = sections
        else:
            flow.fix_sections(sections)
    return kept


def _reduced(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    """Some axes are summed over."""
    given = args[0]
    dims = args[1] if len(args) > 1 else kwargs.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(given.dim()))
    gone = {dim % given.dim() for dim in dims}
    keeps = out.dim() == given.dim()
    kept: Tag = {}
    for axis, sections in flow.tag(given).items():
        if axis in gone:
            flow.fix_sections(sections)
        else:
            kept[axis if keeps else axis - sum(dim < axis for dim in gone)] = sections
    return kept


def _permuted(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    given = args[0]
    if len(args) == 2:
        order = [axis % given.dim() for axis in args[1]]
    else:  # two axes change places; of a matrix both do
        order = list(range(given.dim()))
        one, other = args[1:] or (0, -1)
        order[one], order[other] = order[other], order[one]
    if id(given) in flow.names and given.dim() == 2 and order == [1, 0]:
        flow.turned[id(out)] = given
    tag = flow.tag(given)
    return {place: tag[axis] for place, axis in enumerate(order) if axis in tag}


def _reshaped(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    """Axes are merged and split. `[rows, channels, height, width]` flattened has height x width entries a channel."""
    given: Tensor = args[0]
    kept: Tag = {}
    for axis, sections in flow.tag(given).items():
        left, right = next(pair for pair in _stretches(given.shape, out.shape) if axis in pair[0])
        ahead = prod(given.shape[dim] for dim in left if dim < axis)
        behind = prod(given.shape[dim] for dim in left if dim > axis)
        wider = tuple(Section(section.group, section.unit * behind) for section in sections) * ahead
        place = next((dim for dim in right if out.shape[dim] != 1), right[-1] if right else 0)
        inner = prod(out.shape[dim] for dim in right if dim > place)
        narrower = tuple(Section(section.group, section.unit // inner) for section in wider)
        if flow.length(narrower) != out.shape[place] or place in kept:
            flow.fix_sections(sections)
        else:
            kept[place] = narrower
    return kept


def _stretches(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Stretches of neighbouring axes of two shapes that hold the same numbers."""
    pairs: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        left, right = list(range(i, min(i + 1, len(before)))), list(range(j, min(j + 1, len(after))))
        while (one := prod(before[dim] for dim in left)) != (other := prod(after[dim] for dim in right)):
            if (one < other and left[-1:] != [len(before) - 1]) or not right or right[-1] == len(after) - 1:
                left.append(left[-1] + 1 if left else i)
            else:
                right.append(right[-1] + 1)
        pairs.append((left, right))
        i, j = i + len(left), j + len(right)
    return pairs


def _joined(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    """Tensors are put side by side."""
    given = list(args[0])
    along = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % out.dim()
    tag = _together(flow, given, kwargs, out) if len(given) > 1 else flow.tag(given[0])
    beside = [flow.tag(part).get(along) for part in given]
    tag.pop(along, None)
    if all(sections is not None for sections in beside):
        tag[along] = tuple(section for sections in beside for section in sections or ())
    else:
        for sections in beside:
            flow.fix_sections(sections or ())
    return tag


def _sliced(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    """A stretch of an axis, or one place of it."""
    given = args[0]
    along = (args[1] if len(args) > 1 else 0) % given.dim()
    kept: Tag = {}
    for axis, sections in flow.tag(given).items():
        if axis == along and out.shape != given.shape:
            flow.fix_sections(sections)
        else:
            kept[axis - (axis > along and out.dim() < given.dim())] = sections
    return kept


def _looked_up(flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], out: Tensor) -> Tag:
    """Rows of a table."""
    if id(args[0]) not in flow.names:
        return {}
    made = flow.make(args[0], out.shape[-1])
    flow.hold(args[0], 1, made)
    return {out.dim() - 1: made}


_NAMES: Mapping[_Rule, str] = MappingProxyType(
    {
        _stays: "relu relu6 gelu silu hardtanh hardswish hardsigmoid sigmoid tanh leaky_relu elu softplus mish clamp "
        "clamp_min clamp_max dropout native_dropout clone detach alias _to_copy contiguous neg abs exp log sqrt rsqrt "
        "square pow lift_fresh to",
        _together: "add sub mul div maximum minimum rsub expand",
        _convolved: "convolution",
        _linear: "linear",
        _added_product: "addmm",
        _plain_product: "mm",
        _normed: "native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm _batch_norm_no_update",
        _layer_normed: "native_layer_norm",
        _pooled: "max_pool1d max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d "
        "_adaptive_avg_pool2d adaptive_max_pool2d constant_pad_nd reflection_pad2d upsample_nearest2d "
        "upsample_bilinear2d",
        _reduced: "mean sum amax",
        _permuted: "permute transpose t",
        _reshaped: "view _unsafe_view reshape unsqueeze squeeze flatten",
        _joined: "cat",
        _sliced: "slice select",
        _looked_up: "embedding",
    }
)
RULES: Mapping[str, _Rule] = MappingProxyType({name: rule for rule, names in _NAMES.items() for name in names.split()})
"""What each operation, by the name that torch's dispatcher gives it, does to channels."""
