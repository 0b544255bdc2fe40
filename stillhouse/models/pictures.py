"""How an image model wants its pictures, by the settings of the processor beside it: their size, and pixels' scale."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from stillhouse.errors import UsageError

__all__ = ["PROCESSOR", "Shades", "edges_of", "processor_beside", "settings_of", "shades_of", "size_of"]

PROCESSOR = "preprocessor_config.json"
"""The file with a processor's settings."""
SIZES, SHADES = ("size", "do_center_crop", "crop_size"), ("do_rescale", "rescale_factor", "do_normalize")
NUMBERS = ("image_mean", "image_std")
"""The settings that are read here."""


@final
@dataclass(frozen=True)
class Shades:
    """What a byte p of a channel becomes: (p * scale - mean) / std, of one number or one for each channel."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def of_whole(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std that give the same for pixels from 0 to 1."""
        one = 255 * self.scale
        return tuple(number / one for number in self.mean), tuple(number / one for number in self.std)


def processor_beside(folder: Path) -> dict[str, Any]:
    """The settings of the image processor in a model's folder; none where it has no processor."""
    file = folder / PROCESSOR
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def settings_of(source: Any) -> dict[str, Any]:
    """The same of an open processor; a model's configuration has none of them."""
    return {name: getattr(source, name) for name in (*SIZES, *SHADES, *NUMBERS) if hasattr(source, name)}


def size_of(told: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width of the pictures that a processor hands on; None where its settings name no size."""
    crop = told.get("crop_size") if told.get("do_center_crop") else None
    return edges_of(crop or told.get("size"))


def edges_of(size: Any) -> tuple[int, int] | None:
    """Height and width of a size as settings write it: one number, two, or by name; None for none.

    A shorter edge alone means a square. Raises UsageError for a size that leaves an edge open.
    """
    if not size:
        return None
    try:
        if isinstance(size, int):
            height, width = size, size
        elif isinstance(size, list | tuple):
            height, width = (int(edge) for edge in list[Any](size))
        else:
            named = dict[str, Any](size)
            edges = ("height", "width")
            height, width = (int(named[edge if edge in named else "shortest_edge"]) for edge in edges)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"The image processor asks for pictures of the size {size}, which does not say how high and how wide they "
            f'are. Write "size": {{"height": ..., "width": ...}} into its {PROCESSOR}.'
        ) from error
    return height, width


def shades_of(told: Mapping[str, Any]) -> Shades:
    """What a processor makes of bytes; without settings (p / 255 - 0.5) / 0.5.

    Raises UsageError where the settings are no such numbers.
    """
    normal = told.get("do_normalize", True)
    mean = _numbers(told, "image_mean", 0.5) if normal else (0.0,)
    std = _numbers(told, "image_std", 0.5) if normal else (1.0,)
    (scale,) = _numbers(told, "rescale_factor", 1 / 255)[:1] if told.get("do_rescale", True) else (1.0,)
    if min(scale, *std) <= 0:
        raise UsageError(f"An image processor's image_std and rescale_factor must be above 0: they are {std}, {scale}.")
    return Shades(scale, mean, std)


def _numbers(told: Mapping[str, Any], name: str, default: float) -> tuple[float, ...]:
    """One number or several, as settings write either."""
    value: Any = told.get(name)
    given: list[Any] = list[Any](value) if isinstance(value, list | tuple) else [default if value is None else value]
    try:
        numbers = tuple(float(number) for number in given)
    except (TypeError, ValueError):
        numbers = ()
    if not numbers:
        raise UsageError(f"{name} of an image processor must be a number, or one for each channel; it is {value!r}.")
    return numbers
