"""Which channels of a network belong together, found by following them through one pass; and copies with fewer."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode

from stillhouse.models.channel_flow import RULES, Flow
from stillhouse.models.inherit import Given, Parts, call, entries

__all__ = ["channels", "keep_channels"]


def channels(model: nn.Module, example: Given) -> Parts:
    """The groups of channels of a network, and the axes of weights that hold them.

    The network answers `example` once, and every operation tells how channels go on: convolutions and linear layers
    make new ones; norms, activations and pooling leave them; what is added or multiplied belongs together (shortcuts,
    squeeze and excitation), as do the filters of a depthwise convolution; flattening and concatenation put them side
    by side. A group is named by the layer that makes it first. What comes out of the network is not cut, nor is what
    goes into an operation that is not known here (attention, grouped convolutions): these groups are `fixed`.
    """
    training, flow = model.training, Flow(model)
    model.eval()
    try:
        with torch.no_grad(), _Follower(flow):
            said = call(model, example)
    finally:
        model.train(training)
    for end in _tensors(said):
        flow.fix(end)
    return flow.parts(model)


@final
class _Follower(TorchDispatchMode):
    """While this is open, every operation is told to a flow."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow
        self.alive: list[Any] = []  # an id says who somebody is only while he lives

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.alive.append((args, found))
        rule = RULES.get(func.overloadpacket.__name__.rstrip("_"))
        out = next(iter(_tensors(found)), None)
        if out is None:
            return found
        if rule is not None:
            self.flow.tags[id(out)] = rule(self.flow, args, kwargs or {}, out)
            return found
        for given in _tensors((args, kwargs)):
            self.flow.fix(given)
        self.flow.tags.pop(id(out), None)
        return found


def _tensors(value: Any) -> Iterable[Tensor]:
    """The tensors in a tree of tuples, lists and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from (tensor for part in value.values() for tensor in _tensors(part))
    elif isinstance(value, tuple | list):
        yield from (tensor for part in value for tensor in _tensors(part))


def keep_channels(model: nn.Module, parts: Parts, kept: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a plain module with only the members `kept` of each group; the model stays as it is."""
    smaller = deepcopy(model)
    made: dict[Tensor, nn.Parameter] = {}
    for name, axes in parts.axes.items():
        owner_name, _, own = name.rpartition(".")
        owner = smaller.get_submodule(owner_name)
        weight = getattr(owner, own)
        if weight in made:  # tied to one that was cut
            setattr(owner, own, made[weight])
            continue
        part = weight.detach()
        for axis, sections in axes.items():
            part = part.index_select(axis, entries(sections, parts.members, kept).to(part.device))
        if isinstance(weight, nn.Parameter):
            made[weight] = nn.Parameter(part, requires_grad=weight.requires_grad)
            setattr(owner, own, made[weight])
        else:
            setattr(owner, own, part)
    for module in smaller.modules():
        _retell(module)
    return smaller


def _retell(module: nn.Module) -> None:
    """Let a layer say the sizes that its weights have."""
    weight: Any = getattr(module, "weight", None)
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.Embedding):
        module.embedding_dim = weight.shape[1]
    elif isinstance(module, nn.LayerNorm) and weight is not None and weight.dim() == 1:
        module.normalized_shape = tuple(weight.shape)
    elif isinstance(module, _NormBase):
        held = module.running_mean if weight is None else weight
        module.num_features = module.num_features if held is None else len(held)
    elif isinstance(module, _ConvNd):
        _retell_convolution(module)


def _retell_convolution(layer: _ConvNd) -> None:
    outputs, inputs = layer.weight.shape[:2]
    if layer.groups > 1 and layer.groups == layer.in_channels and not layer.transposed:
        times = layer.out_channels // layer.in_channels
        layer.groups = layer.in_channels = outputs // times
        layer.out_channels = outputs
    elif layer.groups == 1:
        layer.out_channels, layer.in_channels = (inputs, outputs) if layer.transposed else (outputs, inputs)
