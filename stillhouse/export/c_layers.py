"""A plain convnet as a list of layers: whatever module computes it, batch norms folded, activations taken in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.errors import UsageError
from stillhouse.export.c_fixed import Doubles

__all__ = ["Layer", "Shape", "read_layers", "run_layers"]

Shape = tuple[int, int, int]
"""Channels, height and width."""
Pair = tuple[int, int]
INF = float("inf")
KNOWN = (
    "Conv2d (whole or depthwise), Linear, BatchNorm2d, ReLU, ReLU6, MaxPool2d, AvgPool2d, means over height and width, "
    "addition of two maps, Flatten and Dropout"
)


@final
@dataclass(frozen=True)
class Layer:
    """One layer: what it reads and writes by number (0 is the picture), its window, its weights, its bounds."""

    kind: str
    """`conv` (Linear too: its window is the whole map), `depthwise`, `max`, `mean`, `add`, `clamp`."""
    inputs: tuple[int, ...]
    output: int
    before: Shape
    after: Shape
    window: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    """Above and to the left; below and to the right as much as `after` needs."""
    weight: Doubles | None = None
    """`[channels out, channels in, height, width]`; of a depthwise layer `[channels, 1, height, width]`."""
    bias: Doubles | None = None
    bounds: tuple[float, float] = (-INF, INF)
    """The least and the largest value that it writes: (0, inf) for ReLU, (0, 6) for ReLU6."""


def read_layers(module: nn.Module, shape: Shape) -> list[Layer]:
    """The layers of a module that takes pictures `[1, channels, height, width]`, in the order in which they run.

    The module is traced by `torch.export`, so how it is written does not matter. Raises UsageError for what the C code
    does not have.
    """
    module = module.to("cpu").eval()
    with torch.no_grad():
        try:
            program = torch.export.export(module, (torch.zeros(1, *shape),))
        except Exception as error:  # whatever a module raises when it is traced
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UsageError(f"{type(module).__name__} cannot be traced on pictures of {shape}: {first}") from error
    return _Reader(program, shape).read()


def run_layers(layers: Sequence[Layer], pixels: Tensor) -> dict[int, Tensor]:
    """What every layer writes, by number, of pictures `[rows, channels, height, width]` as the student sees them."""
    maps = {0: pixels}
    for layer in layers:
        maps[layer.output] = _run(layer, [maps[number] for number in layer.inputs]).clamp(*layer.bounds)
    return maps


def _run(layer: Layer, given: list[Tensor]) -> Tensor:
    [values, *more] = given
    if layer.kind == "add":
        return values + more[0]
    if layer.kind == "clamp":
        return values
    sides: list[int] = []
    for axis in (1, 0):
        reach = (layer.after[axis + 1] - 1) * layer.stride[axis] + layer.window[axis]
        sides += [layer.padding[axis], reach - layer.before[axis + 1] - layer.padding[axis]]
    wide = functional.pad(values, sides, value=-INF if layer.kind == "max" else 0.0)
    if layer.kind == "max":
        return functional.max_pool2d(wide, layer.window, layer.stride)
    if layer.kind == "mean":
        return functional.avg_pool2d(wide, layer.window, layer.stride)
    assert layer.weight is not None
    assert layer.bias is not None
    weight, bias = (torch.from_numpy(part).to(values.dtype) for part in (layer.weight, layer.bias))
    groups = layer.before[0] if layer.kind == "depthwise" else 1
    return functional.conv2d(wide, weight, bias, layer.stride, groups=groups)


@final
class _Reader:
    """The nodes of a traced module, turned into layers one by one."""

    def __init__(self, program: Any, shape: Shape) -> None:
        self.nodes: list[Any] = list(program.graph.nodes)
        signature = program.graph_signature
        state = {**dict(program.state_dict), **dict(program.constants)}
        named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.weights: dict[str, Any] = {node: state[name] for node, name in named.items() if name in state}
        self.given = set(signature.user_inputs)
        self.shape = shape
        self.layers: list[Layer] = []
        self.maps: dict[str, int] = {}

    def read(self) -> list[Layer]:
        for node in self.nodes:
            if node.name in self.given:
                self.maps[node.name] = 0
            elif node.op == "call_function" and node.users:
                self._node(node)
        returned = next(node for node in self.nodes if node.op == "output").args[0]
        last = self.layers[-1] if self.layers else None
        number = self.maps.get(getattr(returned[0], "name", ""))
        if last is None or number != last.output or last.kind != "conv" or last.after[1:] != (1, 1):
            raise UsageError("The last layer must be a Linear one, or a convolution over a map of one place.")
        if last.bounds != (-INF, INF):
            raise UsageError("The last layer must give raw scores (logits), without an activation.")
        return self.layers

    def _node(self, node: Any) -> None:
        name = getattr(node.target, "__name__", str(node.target)).split(".")[0].removesuffix("_")
        if name not in _MAKERS:
            raise UsageError(f"The student computes {name}, which the C code does not have. It has: {KNOWN}.")
        self.maps[node.name] = _MAKERS[name](self, node)

    def number(self, node: Any) -> int:
        return self.maps[node.name]

    def shape_of(self, number: int) -> Shape:
        return self.shape if number == 0 else next(one.after for one in self.layers if one.output == number)

    def values(self, node: Any, default: Doubles) -> Doubles:
        return default if node is None else self.weights[node.name].detach().double().numpy()

    def add(self, layer: Layer) -> int:
        self.layers.append(layer)
        return layer.output

    @property
    def next(self) -> int:
        return len(self.layers) + 1

    def writer(self, node: Any) -> int | None:
        """Where the layer stands that wrote a map which nobody else reads."""
        if len(node.users) != 1 or self.number(node) == 0:
            return None
        return next(at for at, layer in enumerate(self.layers) if layer.output == self.number(node))


def _after(node: Any) -> Shape:
    """The shape of what a node gives, for one picture."""
    value = node.meta["val"]
    shape = tuple((value[0] if isinstance(value, tuple | list) else value).shape)[1:]
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def _pair(value: Any, default: int) -> Pair:
    values = [default] if value is None or value == [] else [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1])


def _argument(node: Any, at: int, default: Any = None) -> Any:
    return node.args[at] if len(node.args) > at else default


def _pass(reader: _Reader, node: Any) -> int:
    if isinstance(_argument(node, 1), int) and "getitem" in str(node.target) and node.args[1] != 0:
        raise UsageError("The student uses the places of largest values, which the C code does not have.")
    return reader.number(node.args[0])


def _flatten(reader: _Reader, node: Any) -> int:
    number = reader.number(node.args[0])
    if tuple(node.meta["val"].shape) not in ((1, math.prod(reader.shape_of(number))), (1, *reader.shape_of(number))):
        raise UsageError(f"A map of {reader.shape_of(number)} may only be flattened whole. The C code has: {KNOWN}.")
    return number


def _conv(reader: _Reader, node: Any) -> int:
    given, weight = reader.number(node.args[0]), reader.values(node.args[1], np.zeros(0))
    before, after = reader.shape_of(given), _after(node)
    channels, window = weight.shape[0], (weight.shape[2], weight.shape[3])
    padding, groups = _argument(node, 4, 0), _argument(node, 6, 1)
    if padding in ("same", "valid"):
        padding = [(size - 1) // 2 if padding == "same" else 0 for size in window]
    depthwise = groups == before[0] == channels and groups > 1
    if not (groups == 1 or depthwise) or _pair(_argument(node, 5), 1) != (1, 1):
        raise UsageError(f"A convolution of {groups} groups, or one with holes (dilation), is not one that C has.")
    kind = "depthwise" if depthwise else "conv"
    bias = reader.values(_argument(node, 2), np.zeros(channels))
    stride = _pair(_argument(node, 3), 1)
    return reader.add(
        Layer(kind, (given,), reader.next, before, after, window, stride, _pair(padding, 0), weight, bias)
    )


def _linear(reader: _Reader, node: Any) -> int:
    given, weight = reader.number(node.args[0]), reader.values(node.args[1], np.zeros(0))
    before = reader.shape_of(given)
    if len(node.meta["val"].shape) != 2 or weight.shape[1] != math.prod(before):
        raise UsageError(f"A Linear layer must read a whole map; here one of {weight.shape[1]} numbers reads {before}.")
    bias = reader.values(_argument(node, 2), np.zeros(len(weight)))
    shaped, window = weight.reshape(-1, *before), (before[1], before[2])
    after = (len(weight), 1, 1)
    return reader.add(Layer("conv", (given,), reader.next, before, after, window, (1, 1), (0, 0), shaped, bias))


def _batch_norm(reader: _Reader, node: Any) -> int:
    """y = (x - mean) / sqrt(variance + epsilon) * weight + bias, folded into the convolution before it."""
    given, at = reader.number(node.args[0]), reader.writer(node.args[0])
    shape = reader.shape_of(given)
    channels = shape[0]
    mean, variance = (reader.values(node.args[place], np.zeros(0)) for place in (3, 4))
    if len(mean) != channels:
        raise UsageError(f"A batch norm of {len(mean)} channels after {channels} channels is not one that C has.")
    gain = reader.values(node.args[1], np.ones(channels)) / np.sqrt(variance + node.args[7])
    offset = reader.values(node.args[2], np.zeros(channels)) - mean * gain
    before = None if at is None else reader.layers[at]
    if at is None or before is None or before.weight is None or before.bounds != (-INF, INF):
        weight = gain.reshape(-1, 1, 1, 1)
        return reader.add(Layer("depthwise", (given,), reader.next, shape, shape, weight=weight, bias=offset))
    assert before.bias is not None
    weight, bias = before.weight * gain.reshape(-1, 1, 1, 1), before.bias * gain + offset
    reader.layers[at] = replace(before, weight=weight, bias=bias)
    return given


def _bounded(low: float, high: float) -> Callable[[_Reader, Any], int]:
    """Makes a reader of activations that keep values between two bounds, by default these."""

    def read(reader: _Reader, node: Any) -> int:
        given, at = reader.number(node.args[0]), reader.writer(node.args[0])
        least, most = _argument(node, 1, low), _argument(node, 2, high)
        least, most = -INF if least is None else float(least), INF if most is None else float(most)
        if at is None:
            shape = reader.shape_of(given)
            return reader.add(Layer("clamp", (given,), reader.next, shape, shape, bounds=(least, most)))
        layer = reader.layers[at]
        bounds = (max(least, layer.bounds[0]), min(most, layer.bounds[1]))
        reader.layers[at] = replace(layer, bounds=bounds)
        return given

    return read


def _pool(kind: str) -> Callable[[_Reader, Any], int]:
    """Makes a reader of pools with a window that is given."""

    def read(reader: _Reader, node: Any) -> int:
        given = reader.number(node.args[0])
        window = _pair(node.args[1], 1)
        stride, padding = _argument(node, 2), _pair(_argument(node, 3), 0)
        largest = kind == "max"
        odd = _pair(_argument(node, 4), 1) != (1, 1) if largest else bool(_argument(node, 4, False))
        uneven = not largest and padding != (0, 0) and not _argument(node, 5, True)
        if odd or uneven or bool(_argument(node, 5, False) if largest else _argument(node, 6)):
            raise UsageError("A pool with holes, sizes rounded up, or means without their padding is not one C has.")
        step = window if stride is None or stride == [] else _pair(stride, 1)
        return reader.add(
            Layer(kind, (given,), reader.next, reader.shape_of(given), _after(node), window, step, padding)
        )

    return read


def _adaptive(kind: str) -> Callable[[_Reader, Any], int]:
    """Makes a reader of pools whose window follows from the size of what they give, and of means over all places."""

    def read(reader: _Reader, node: Any) -> int:
        given, after = reader.number(node.args[0]), _after(node)
        before = reader.shape_of(given)
        if before[1] % after[1] or before[2] % after[2] or after[0] != before[0]:
            raise UsageError(f"A map of {before} cannot be pooled evenly into one of {after}.")
        window = (before[1] // after[1], before[2] // after[2])
        return reader.add(Layer(kind, (given,), reader.next, before, after, window, window))

    return read


def _mean(reader: _Reader, node: Any) -> int:
    dimensions = len(node.args[0].meta["val"].shape)
    if dimensions != 4 or sorted(at % dimensions for at in node.args[1]) != [2, 3]:
        raise UsageError("Means are taken over height and width together, or not at all, in C.")
    return _adaptive("mean")(reader, node)


def _sum(reader: _Reader, node: Any) -> int:
    numbers = tuple(reader.maps.get(getattr(one, "name", ""), -1) for one in node.args[:2])
    if -1 in numbers or node.kwargs.get("alpha", 1) != 1 or reader.shape_of(numbers[0]) != reader.shape_of(numbers[1]):
        raise UsageError("Only two maps of one shape can be added in C.")
    shape = reader.shape_of(numbers[0])
    return reader.add(Layer("add", numbers, reader.next, shape, shape))


_MAKERS: Mapping[str, Callable[[_Reader, Any], int]] = {
    "conv2d": _conv,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "relu": _bounded(0.0, INF),
    "relu6": _bounded(0.0, 6.0),
    "hardtanh": _bounded(-1.0, 1.0),
    "clamp": _bounded(-INF, INF),
    "clamp_min": _bounded(-INF, INF),
    "max_pool2d": _pool("max"),
    "avg_pool2d": _pool("mean"),
    "adaptive_avg_pool2d": _adaptive("mean"),
    "adaptive_max_pool2d": _adaptive("max"),
    "mean": _mean,
    "add": _sum,
    "flatten": _flatten,
    "view": _flatten,
    "reshape": _flatten,
    "squeeze": _flatten,
    "getitem": _pass,
    "dropout": _pass,
    "feature_dropout": _pass,
    "detach": _pass,
    "alias": _pass,
    "clone": _pass,
    "contiguous": _pass,
}
