"""A convnet in whole numbers: int8 weights and maps, ranges from real samples, and numpy that computes as C does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from stillhouse.errors import UsageError
from stillhouse.export.c_fixed import FRACTION, Doubles, int8_rows, multiplier, rounded
from stillhouse.export.c_layers import Layer, Shape, run_layers

__all__ = ["Bytes", "Grid", "Integers", "Look", "Network", "Step", "quantise", "run_network"]

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

LEAST, MOST = -128, 127
SAMPLED = 100_000
"""Values of a map by which its range is chosen."""
ADD_BITS = 21
"""Multipliers of an addition lie below 2^21, so that two products with 9-bit numbers fit 32 bits."""
TOGETHER = 256
"""Pictures in one pass of the numpy arithmetic."""


@final
@dataclass(frozen=True)
class Look:
    """How a student sees a byte p of a channel: (p / 255 - mean) / std, of one number or one for each channel."""

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    def seen(self, pixels: Bytes) -> torch.Tensor:
        """Pictures `[rows, height, width, channels]` as students take them: `[rows, channels, height, width]`."""
        values = (pixels / np.float64(255) - np.asarray(self.mean)) / np.asarray(self.std)
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 1))).float()


@final
@dataclass(frozen=True)
class Grid:
    """The whole numbers q from -128 to 127 of a map: value = scale * (q - zero)."""

    scale: float
    zero: int

    @classmethod
    def over(cls, low: float, high: float) -> Grid:
        """A grid from `low` to `high`, widened to hold 0, which is one of its numbers."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / 255 or 1.0
        return cls(scale, int(np.clip(round(LEAST - low / scale), LEAST, MOST)))

    def nearest(self, value: float) -> int:
        """The number that stands for a value, or the end of the grid that is nearer to it."""
        if math.isinf(value):
            return MOST if value > 0 else LEAST
        return int(np.clip(round(value / self.scale) + self.zero, LEAST, MOST))


@final
@dataclass(frozen=True)
class Step:
    """A layer in whole numbers."""

    layer: Layer
    weight: npt.NDArray[np.int8] | None
    """In the layer's own order."""
    constants: Integers
    """What sums are scaled by: [bias, multiplier, shift] of each channel, or those of the layer's kind in C."""
    to: Grid | None
    """None for the last layer, which writes scores in 1/65536."""
    bounds: tuple[int, int] = (LEAST, MOST)


@final
@dataclass(frozen=True)
class Network:
    """A whole convnet in whole numbers."""

    shape: Shape
    pixels: Integers
    """`[channels, 2]`: multiplier and offset by which a byte becomes a number of the first map, in 1/65536."""
    grids: Mapping[int, Grid]
    steps: tuple[Step, ...]


def quantise(layers: Sequence[Layer], shape: Shape, look: Look, samples: Bytes) -> Network:
    """The layers in whole numbers; ranges of maps are chosen on `samples` `[rows, height, width, channels]`.

    Weights have a scale for each channel that they write and no zero point, maps one scale and a zero point each
    (Jacob et al. 2018, section 2). A largest and a bounded map keep the grid of what they are made from.
    """
    if not len(samples):
        raise UsageError("There are no pictures to choose the ranges of maps by. Give a few hundred real ones.")
    grids, pixels = _first(shape[0], look)
    known = {0: grids}
    ranges = _Ranges()
    for at in range(0, len(samples), TOGETHER):
        with torch.no_grad():
            ranges.see(run_layers(layers, look.seen(samples[at : at + TOGETHER])))
    for layer in layers[:-1]:
        alike = layer.kind in ("max", "clamp")
        known[layer.output] = known[layer.inputs[0]] if alike else ranges.grid(layer.output)
    steps = [_step(layer, known, last=layer is layers[-1]) for layer in layers]
    return Network(shape, pixels, known, tuple(steps))


def _first(channels: int, look: Look) -> tuple[Grid, Integers]:
    """The grid of what the student sees, and how bytes come to it."""
    mean, std = (np.broadcast_to(np.asarray(part, dtype=np.float64), (channels,)) for part in (look.mean, look.std))
    grid = Grid.over(float((-mean / std).min()), float(((1 - mean) / std).max()))
    gain, offset = 1 / (255 * std * grid.scale), grid.zero - mean / (std * grid.scale)
    return grid, np.rint(np.stack([gain, offset], axis=1) * 2.0**FRACTION).astype(np.int64)


@final
class _Ranges:
    """Values that maps have on samples: their ends, and some of them."""

    def __init__(self) -> None:
        self.seen: dict[int, list[npt.NDArray[np.float32]]] = {}

    def see(self, maps: Mapping[int, torch.Tensor]) -> None:
        for number, values in maps.items():
            flat = values.flatten().numpy()
            random = np.random.default_rng((number, len(self.seen.get(number, []))))
            some = random.choice(flat, min(len(flat), SAMPLED // 8), replace=False)
            self.seen.setdefault(number, []).append(np.append(some, [flat.min(), flat.max()]))

    def grid(self, number: int) -> Grid:
        """The grid with the least squared error on what was seen, of those that leave out ever more of both ends."""
        values = np.concatenate(self.seen[number]).astype(np.float64)
        low, high = float(values.min()), float(values.max())
        some = np.random.default_rng(number).permutation(values)[:SAMPLED]
        grids = [Grid.over(low * share, high * share) for share in np.linspace(1, 0.4, 31)]
        return min(grids, key=lambda grid: _error(some, grid))


def _error(values: Doubles, grid: Grid) -> float:
    kept = (np.clip(np.rint(values / grid.scale) + grid.zero, LEAST, MOST) - grid.zero) * grid.scale
    return float(np.square(values - kept).sum())


def _step(layer: Layer, grids: Mapping[int, Grid], last: bool) -> Step:
    given, to = grids[layer.inputs[0]], None if last else grids[layer.output]
    bounds = (LEAST, MOST) if to is None else (to.nearest(layer.bounds[0]), to.nearest(layer.bounds[1]))
    unit = 2.0**-FRACTION if to is None else to.scale
    if layer.weight is not None:
        weight, constants = _weighted(layer, given, unit)
        return Step(layer, weight, constants, to, bounds)
    constants = np.zeros(0, dtype=np.int64)
    if layer.kind == "mean":
        constants = np.asarray(multiplier(given.scale / unit / math.prod(layer.window)), dtype=np.int64)
    elif layer.kind == "add":
        other = grids[layer.inputs[1]]
        factors = (given.scale / unit, other.scale / unit)
        shift = ADD_BITS - max(0, math.ceil(math.log2(max(factors))))
        found = [round(factor * 2**shift) for factor in factors]
        constants = np.asarray([*found, shift, other.zero], dtype=np.int64)
    return Step(layer, None, constants, to, bounds)


def _weighted(layer: Layer, given: Grid, unit: float) -> tuple[npt.NDArray[np.int8], Integers]:
    """Weights as int8, and bias, multiplier and shift of each channel: out = (sum + bias) * scale_in * scale_w / unit.

    A channel whose bias would not fit 32 bits in units of its weights has coarser weights.
    """
    assert layer.weight is not None
    assert layer.bias is not None
    _, scales = int8_rows(layer.weight)
    scales = np.maximum(scales, np.abs(layer.bias) / (given.scale * 2.0**30))
    shaped = scales.reshape(-1, 1, 1, 1)
    weight = np.clip(np.rint(layer.weight / shaped), -127, 127).astype(np.int8)
    bias = np.rint(layer.bias / (given.scale * scales)).astype(np.int64)
    factors = [multiplier(float(given.scale * scale / unit)) for scale in scales]
    return weight, np.concatenate([bias[:, None], np.asarray(factors, dtype=np.int64)], axis=1)


def run_network(network: Network, pixels: Bytes) -> Integers:
    """Scores `[rows, labels]` in 1/65536 of pictures `[rows, height, width, channels]`: what the C code says, exactly.

    Products are summed as doubles, which hold every sum of int8 products exactly.
    """
    parts = [_run(network, pixels[at : at + TOGETHER]) for at in range(0, len(pixels), TOGETHER)]
    return np.concatenate(parts)


def _run(network: Network, pixels: Bytes) -> Integers:
    first = rounded(pixels.astype(np.int64) * network.pixels[:, 0] + network.pixels[:, 1], FRACTION)
    maps = {0: np.moveaxis(np.clip(first, LEAST, MOST), -1, 1)}
    for step in network.steps[:-1]:
        maps[step.layer.output] = _compute(step, network.grids, maps)
    last = network.steps[-1]
    return _scaled(_sums(last, network.grids, maps), last.constants)[:, :, 0, 0]


def _compute(step: Step, grids: Mapping[int, Grid], maps: Mapping[int, Integers]) -> Integers:
    layer, constants = step.layer, step.constants
    assert step.to is not None
    if layer.kind == "max":
        values = _windows(layer, maps[layer.inputs[0]], LEAST).max(axis=(-2, -1))
    elif layer.kind == "clamp":
        values = maps[layer.inputs[0]]
    elif layer.kind == "add":
        one, two = (maps[number] for number in layer.inputs)
        sums = (one - grids[layer.inputs[0]].zero) * constants[0] + (two - constants[3]) * constants[1]
        values = rounded(sums, constants[2]) + step.to.zero
    elif layer.kind == "mean":
        inside = _windows(layer, maps[layer.inputs[0]] - grids[layer.inputs[0]].zero, 0)
        values = rounded(inside.sum(axis=(-2, -1)) * constants[0], constants[1]) + step.to.zero
    else:
        values = _scaled(_sums(step, grids, maps), constants) + step.to.zero
    return np.clip(values, *step.bounds)


def _sums(step: Step, grids: Mapping[int, Grid], maps: Mapping[int, Integers]) -> Integers:
    """Sums of products `[rows, channels, height, width]`, with the bias."""
    layer = step.layer
    assert step.weight is not None
    windows = _windows(layer, maps[layer.inputs[0]] - grids[layer.inputs[0]].zero, 0).astype(np.float64)
    weight = step.weight.astype(np.float64)
    if layer.kind == "depthwise":
        sums = np.einsum("ncyxhw,chw->ncyx", windows, weight[:, 0])
    else:
        sums = np.moveaxis(np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))), -1, 1)
    return sums.astype(np.int64) + step.constants[:, 0, None, None]


def _scaled(sums: Integers, constants: Integers) -> Integers:
    return rounded(sums * constants[:, 1, None, None], constants[:, 2, None, None])


def _windows(layer: Layer, values: Integers, fill: int) -> Any:
    """What each window sees: `[rows, channels, height, width, window height, window width]`."""
    sides = [(0, 0), (0, 0)]
    for axis in (0, 1):
        reach = (layer.after[axis + 1] - 1) * layer.stride[axis] + layer.window[axis]
        sides.append((layer.padding[axis], max(0, reach - layer.before[axis + 1] - layer.padding[axis])))
    wide = np.pad(values, sides, constant_values=fill)
    views = np.lib.stride_tricks.sliding_window_view(wide, layer.window, axis=(2, 3))
    places = [slice(0, (layer.after[axis + 1] - 1) * layer.stride[axis] + 1, layer.stride[axis]) for axis in (0, 1)]
    return views[:, :, places[0], places[1]]
