"""Image students in C: the steps of an integer network, where its maps lie in one buffer, and its numbers as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from stillhouse.export.c_integer import Network, Step
from stillhouse.export.c_source import Answers, Source

__all__ = ["image_source", "place_maps"]

TRIES = 5_000
KINDS = ("conv", "depthwise", "max", "mean", "add", "clamp", "score")


def image_source(network: Network, answers: Answers) -> Source:
    """The C source of a network."""
    places, arena = place_maps(network)
    channels, height, width = network.shape
    weights: list[npt.NDArray[np.int8]] = []
    constants: list[npt.NDArray[np.int64]] = [network.pixels.ravel()]
    rows: list[str] = []
    for step in network.steps:
        starts = (sum(map(len, weights)), sum(map(len, constants)))
        rows.append("{" + ", ".join(map(str, _numbers(step, network, places, starts))) + "}")
        weights.append(_stored(step))
        constants.append(step.constants.ravel())
    kinds = {_kind(step) for step in network.steps}
    macros: dict[str, str | int] = {f"STEP_{kind.upper()}": at for at, kind in enumerate(KINDS)}
    macros |= {f"IMAGE_{kind.upper()}": "" for kind in KINDS if kind in kinds and kind != "score"}
    macros |= {"IMAGE_WRITES": ""} if kinds & {"conv", "depthwise", "mean"} else {}
    macros |= {"IMAGE_WINDOWS": ""} if kinds & {"conv", "depthwise", "mean", "max"} else {}
    macros |= {"IMAGE_ARENA": arena, "IMAGE_FIRST": places[0], "IMAGE_STEPS": ", \\\n    ".join(rows)}
    sizes = {"STUDENT_ROWS": height, "STUDENT_COLUMNS": width, "STUDENT_CHANNELS": channels}
    sizes["STUDENT_PIXELS"] = height * width * channels
    products = sum(_products(step) for step in network.steps)
    return Source(
        kind="image",
        parts=("image.c",),
        answers=answers,
        sizes=sizes,
        macros=macros,
        arrays={
            "image_weights": np.concatenate(weights).astype(np.int8),
            "image_constants": np.concatenate(constants).astype(np.int32),
        },
        about={"weights": sum(map(len, weights)), "products": products, "arena": arena, "steps": len(rows)},
    )


def place_maps(network: Network) -> tuple[dict[int, int], int]:
    """Where each map begins in one buffer, and how large that is; maps that are needed at one time lie apart.

    The largest are placed first, each at the lowest place that is free while it is needed, as TensorFlow Lite Micro's
    greedy planner does; where that takes more than the maps of some one step, they are tried at both ends in turn.
    """
    born, dies, sizes = {0: -1}, {0: -1}, {0: math.prod(network.shape)}
    for at, step in enumerate(network.steps):
        dies |= dict.fromkeys(step.layer.inputs, at)
        if step.to is not None:
            born[step.layer.output] = dies[step.layer.output] = at
            sizes[step.layer.output] = math.prod(step.layer.after)
    maps = {number: _Span(born[number], dies[number], sizes[number]) for number in sizes}
    places = _greedy(maps)
    least = max(sum(span.size for span in maps.values() if span.born <= at <= span.dies) for at in born.values())
    if _end(maps, places) > least:
        places = _packed(sorted(maps, key=lambda number: maps[number].born), maps, {}, [least, TRIES]) or places
    return places, _end(maps, places)


@final
@dataclass(frozen=True)
class _Span:
    """When a map is written, when it is read for the last time, and its bytes."""

    born: int
    dies: int
    size: int

    def meets(self, other: _Span) -> bool:
        return self.born <= other.dies and other.born <= self.dies


def _end(maps: Mapping[int, _Span], places: Mapping[int, int]) -> int:
    return max(places[number] + maps[number].size for number in places)


def _taken(number: int, maps: Mapping[int, _Span], places: Mapping[int, int]) -> list[tuple[int, int]]:
    """From where to where the maps lie that are needed while this one is."""
    rivals = [one for one in places if maps[one].meets(maps[number])]
    return sorted((places[one], places[one] + maps[one].size) for one in rivals)


def _lowest(size: int, taken: Sequence[tuple[int, int]]) -> int:
    place = 0
    for start, end in taken:
        if place + size <= start:
            break
        place = max(place, end)
    return place


def _greedy(maps: Mapping[int, _Span]) -> dict[int, int]:
    places: dict[int, int] = {}
    for number in sorted(maps, key=lambda one: (-maps[one].size, one)):
        places[number] = _lowest(maps[number].size, _taken(number, maps, places))
    return places


def _packed(
    left: Sequence[int], maps: Mapping[int, _Span], places: dict[int, int], room: list[int]
) -> dict[int, int] | None:
    """Places within `room[0]` bytes, each map at the low or the high end of what is free; `room[1]` tries are left."""
    if not left:
        return places
    room[1] -= 1
    number, size = left[0], maps[left[0]].size
    taken = _taken(number, maps, places)
    mirrored = sorted((room[0] - end, room[0] - start) for start, end in taken)
    for place in dict.fromkeys((_lowest(size, taken), room[0] - size - _lowest(size, mirrored))):
        if 0 <= place <= room[0] - size and room[1] > 0:
            found = _packed(left[1:], maps, {**places, number: place}, room)
            if found is not None:
                return found
    return None


def _kind(step: Step) -> str:
    return "score" if step.to is None else step.layer.kind


def _numbers(step: Step, network: Network, places: dict[int, int], starts: tuple[int, int]) -> list[Any]:
    """The fields of a `step` in C, in their order."""
    layer, given = step.layer, network.grids[step.layer.inputs[0]]
    other = places[layer.inputs[1]] if layer.kind == "add" else 0
    to = 0 if step.to is None else places[layer.output]
    channels, height, width = layer.before
    after, high, wide = layer.after
    window = (*layer.window, *layer.stride, *layer.padding)
    grid = (given.zero, 0 if step.to is None else step.to.zero, *step.bounds)
    kind = f"STEP_{_kind(step).upper()}"
    return [
        kind,
        places[layer.inputs[0]],
        other,
        to,
        height,
        width,
        channels,
        high,
        wide,
        after,
        *window,
        *grid,
        *starts,
    ]


def _stored(step: Step) -> npt.NDArray[np.int8]:
    """Weights in the order in which C reads them: channels last, so that those of one place lie together."""
    if step.weight is None:
        return np.zeros(0, dtype=np.int8)
    if step.layer.kind == "depthwise":
        return np.moveaxis(step.weight[:, 0], 0, -1).ravel()
    return np.moveaxis(step.weight, 1, -1).ravel()


def _products(step: Step) -> int:
    """How often two numbers are multiplied and added for one picture."""
    return 0 if step.weight is None else step.weight[:1].size * math.prod(step.layer.after)
