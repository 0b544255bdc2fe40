"""Quantisation-aware training: a model prepared so that any training run sees the rounding that its integers will have.

Prepared weights and inputs are rounded by fake quantisers; everything else about the model stays as it is, so healing
it is an ordinary run of `training/loop.py`, with the full-precision model as teacher. `convert` (integer.py) then makes
the integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, TypeVar, final, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from stillhouse.compression.fake_quantize import Cut, InputRange, Steps, WeightGrid
from stillhouse.errors import UsageError
from stillhouse.models.layers import linear_layers, output_head

__all__ = ["FLOAT", "Bits", "Prepared", "bake", "freeze_ranges", "observe", "own_weight", "prepare", "prepared"]

FLOAT = 32
"""Bits of what stays as it is."""
GROUPS = (0, 16, 32, 64, 128, 256)
LEAST_WIDTH = 16
"""Tables with fewer numbers a row (positions as biases) stay as they are: they weigh nothing and much hangs on each."""
_MATRICES = (nn.Linear, Conv1D, nn.Conv2d)
_RANGE = "input_range"
Model = TypeVar("Model", bound=nn.Module)


@final
@dataclass(frozen=True)
class Bits:
    """How many bits the parts of a model will have: 2 to 8, or 32 for what stays as it is."""

    weights: int = 8
    """Of linear layers and convolutions."""
    activations: int = 8
    """Of what enters them: 8 or 32."""
    embeddings: int = 8
    """Of tables that are looked up in, and of a head that shares its numbers with one."""
    edges: int = 8
    """The least that the head and the first convolution have, which bear rounding worst."""
    group: int = 0
    """Inputs of a linear layer that share a step: 16, 32, 64, 128 or 256; 0 for all inputs of an output."""
    steps: Steps = "widest"
    """`widest`: as the largest number needs it, anew in each pass; `learnt` beside the weights: better below 8 bits."""
    keep: tuple[str, ...] = ()
    """Names of layers that stay as they are; `*` stands for anything, as in `encoder.layer.0.*`."""

    def __post_init__(self) -> None:
        for name in ("weights", "embeddings", "edges"):
            value = getattr(self, name)
            if value not in (*range(2, 9), FLOAT):
                raise UsageError(f"Bits of {name} are 2 to 8, or 32 to leave them as they are; they are {value}.")
        for name, value, known in (
            ("activations", self.activations, (8, FLOAT)),
            ("group", self.group, GROUPS),
            ("steps", self.steps, get_args(Steps)),
        ):
            if value not in known:
                raise UsageError(f"Bits' {name} must be one of {', '.join(map(str, known))}; it is {value!r}.")


@final
@dataclass(frozen=True)
class Prepared:
    """What one layer was prepared for."""

    name: str
    layer: nn.Module
    grid: WeightGrid | None
    """None where its weight stays as it is."""
    entry: InputRange | None
    """None where what enters it stays as it is."""


def prepare(model: Model, bits: Bits) -> Model:
    """Put fake quantisers into `model`, in place: its own weights go on to learn, rounded wherever they are read.

    Linear layers (GPT-2's too), convolutions and embeddings are found by what they are; layers that share a weight
    share its grid. Fold batch norms first (`models.fold.fold_norms`). Layers inside torch's own `MultiheadAttention`
    stay as they are, since it goes past them to their weights. `prepared` lists what came of each layer. A model that
    was prepared already is refused.
    """
    if any(layer.grid is not None for layer in prepared(model)):
        raise UsageError(
            "This model is prepared already. Prepare a copy of the one it was made of, or `bake` it first."
        )
    places = list(_places(model, bits))
    _check_keep(model, bits.keep)
    grids: dict[int, WeightGrid] = {}
    for layer, wanted in places:
        weight: Any = layer.weight
        matrix = isinstance(layer, _MATRICES)
        if wanted < FLOAT:
            cut = Cut(0 if isinstance(layer, nn.Conv2d) else bits.group, isinstance(layer, Conv1D))
            grid = grids.setdefault(id(weight), WeightGrid(weight, wanted, cut, bits.steps))
            parametrize.register_parametrization(layer, "weight", grid, unsafe=True)
        if matrix and bits.activations < FLOAT and wanted < FLOAT:
            layer.add_module(_RANGE, InputRange(weight.device))
            layer.register_forward_pre_hook(_round_input)
    return model


def _round_input(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    if not inputs:
        raise UsageError(f"A {type(layer).__name__} was called by keyword; what enters a prepared layer comes first.")
    return (layer.get_submodule(_RANGE)(inputs[0]), *inputs[1:])


def _places(model: nn.Module, bits: Bits) -> Iterator[tuple[nn.Module, int]]:
    """The layers that can be prepared, in order, each with its bits."""
    tables = {id(layer.weight) for layer in model.modules() if type(layer) is nn.Embedding and _looked_up(layer)}
    first = next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), None)
    head = _head(model)
    for name, layer in _layers(model):
        if any(fnmatchcase(name, pattern) for pattern in bits.keep):
            continue
        if id(layer.weight) in tables:
            yield layer, bits.embeddings
        elif isinstance(layer, nn.Embedding):
            continue
        elif layer is head or layer is first:
            yield layer, max(bits.edges, bits.weights)
        else:
            yield layer, bits.weights


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers of the kinds that can be prepared, by name."""
    beyond = [f"{name}." for name, part in model.named_modules() if isinstance(part, nn.MultiheadAttention)]
    for name, layer in model.named_modules():
        if any(name.startswith(prefix) for prefix in beyond):
            continue
        plain = type(layer) in (nn.Linear, Conv1D, nn.Embedding)
        if plain or (type(layer) is nn.Conv2d and layer.padding_mode == "zeros"):
            yield name, layer


def _looked_up(table: nn.Embedding) -> bool:
    return table.embedding_dim >= LEAST_WIDTH and table.max_norm is None


def _head(model: nn.Module) -> nn.Module | None:
    """The layer that gives the answers: what a Transformers model says it is, or the last linear one of others."""
    try:
        return output_head(model)
    except UsageError:
        found = [] if isinstance(model, PreTrainedModel) else list(linear_layers(model))
        return found[-1] if found else None


def _check_keep(model: nn.Module, keep: Iterable[str]) -> None:
    names = [name for name, _ in _layers(model)]
    for pattern in keep:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = get_close_matches(pattern, names, 1, 0.0)
            hint = f" The nearest is {near[0]!r}." if near else ""
            raise UsageError(f"No layer is called {pattern!r}, so none can be kept as it is.{hint}")


def prepared(model: nn.Module) -> tuple[Prepared, ...]:
    """The linear layers, convolutions and embeddings of a model, and what each was prepared for."""
    found: list[Prepared] = []
    for name, layer in model.named_modules():
        if isinstance(layer, (*_MATRICES, nn.Embedding)):
            found.append(Prepared(name, layer, _grid(layer), _entry(layer)))
    return tuple(found)


def _grid(layer: nn.Module) -> WeightGrid | None:
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    first: Any = layer.parametrizations["weight"][0]  # pyright: ignore[reportIndexIssue, reportArgumentType]
    return first if isinstance(first, WeightGrid) else None


def _entry(layer: nn.Module) -> InputRange | None:
    found = getattr(layer, _RANGE, None)
    return found if isinstance(found, InputRange) else None


def observe(model: nn.Module, batches: Iterable[Mapping[str, Tensor]]) -> None:
    """Show the ranges of what enters a prepared model's layers some batches (its keyword arguments), without learning.

    Training follows them by itself. This is how a model is quantised without training.
    """
    ranges = [part for part in model.modules() if isinstance(part, InputRange)]
    was = model.training
    model.eval()
    for part in ranges:
        part.train()
    try:
        with torch.no_grad():
            for batch in batches:
                model(**batch)
    finally:
        model.train(was)


def freeze_ranges(model: nn.Module, frozen: bool = True) -> None:
    """Hold the ranges of what enters a prepared model's layers as they are, or let them follow training again.

    Called for the last part of a run, the student learns what its integers will really be. The order is part of the
    model's state, so a resumed run knows of it.
    """
    for part in model.modules():
        if isinstance(part, InputRange):
            part.frozen.fill_(frozen)


def bake(model: Model) -> Model:
    """Make a prepared model an ordinary one again, in place: its weights are floats at the values their integers have.

    It can then be saved, loaded and exported like any other. What enters its layers is no longer rounded.
    """
    layers = prepared(model)
    rounded = [None if layer.grid is None else _weight_of(layer.layer).detach().clone() for layer in layers]
    for layer, values in zip(layers, rounded, strict=True):
        if values is not None:
            _unwrap(layer.layer, values)
        if layer.entry is not None:
            delattr(layer.layer, _RANGE)
            hooks = layer.layer._forward_pre_hooks
            for key in [key for key, hook in hooks.items() if hook is _round_input]:
                del hooks[key]
    return model


def _weight_of(layer: nn.Module) -> Tensor:
    """The weight of a layer, rounded where it is prepared."""
    found: Any = layer.weight
    return found


def own_weight(layer: nn.Module) -> nn.Parameter:
    """The weight of a prepared layer as it learns, before it is rounded."""
    found: Any = layer.parametrizations
    return found.weight.original


def _unwrap(layer: nn.Module, values: Tensor) -> None:
    """Take the parametrisation of one layer's weight away.

    Torch's own function for it takes the weight from the layer's class, which copies of the model share.
    """
    own = own_weight(layer)
    own.data.copy_(values)
    del layer.parametrizations
    layer.__class__ = type(layer).__bases__[0]
    layer.register_parameter("weight", own)
