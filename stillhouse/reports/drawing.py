"""Scales, ticks, text boxes and label placement: the geometry under the charts."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from stillhouse.reports.figures import printable

__all__ = [
    "Box",
    "Scale",
    "Spot",
    "dot",
    "grid",
    "label",
    "line",
    "linear_ticks",
    "log_ticks",
    "place",
    "share_words",
    "svg",
    "text",
    "text_width",
]

LETTER = 0.57
"""Width of a mean letter against the font size, in the sans serif faces that browsers pick."""


@dataclass(frozen=True)
class Scale:
    """Maps values in `low..high` to pixels in `start..end`; values outside go to the nearer end."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)


@dataclass(frozen=True)
class Box:
    """An upright rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area two boxes share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)

    def outside(self, frame: Box) -> float:
        """The area of this box that sticks out of a frame."""
        return (self.right - self.left) * (self.bottom - self.top) - self.overlap(frame)


@dataclass(frozen=True)
class Spot:
    """Something at a point that wants a label of some width and height beside it."""

    x: float
    y: float
    radius: float
    width: float
    height: float


def linear_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten apart) within `low..high`."""
    rough = (high - low) / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= 0.85 * rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within `low..high`; powers of ten alone when the range is wide."""
    factors = (1, 2, 5) if high / low < 2000 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = (factor * 10.0**power for power in powers for factor in factors)
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def text_width(words: str, size: float) -> float:
    """Estimated width of a text in pixels; East Asian and emoji characters count double."""
    return sum(1.75 if unicodedata.east_asian_width(char) in "WF" else 1 for char in words) * size * LETTER


_SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (0.8, -0.8), (0.8, 0.8), (-0.8, -0.8), (-0.8, 0.8))


def _candidates(spot: Spot) -> Iterable[tuple[float, Box]]:
    """Places for a label around its spot, each with the price of being far away."""
    for rank, gap in enumerate((6, 20, 40, 64, 90)):
        for order, (across, down) in enumerate(_SIDES):
            reach = spot.radius + gap
            centre_x = spot.x + across * (reach + spot.width / 2 * (abs(across) > 0.1))
            centre_y = spot.y + down * (reach + spot.height / 2)
            half_w, half_h = spot.width / 2, spot.height / 2
            box = Box(centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h)
            yield rank * 60 + order, box


def _around(spot: Spot) -> Box:
    """What a label must keep off: most of the dot."""
    reach = max(6.0, 0.8 * spot.radius)
    return Box(spot.x - reach, spot.y - reach, spot.x + reach, spot.y + reach)


def place(spots: Sequence[Spot], obstacles: Sequence[Box], frame: Box) -> list[Box]:
    """A box for the label of each spot that keeps clear of obstacles, dots and earlier labels where it can."""
    taken = [*obstacles, *(_around(spot) for spot in spots)]
    placed: list[Box] = []
    for spot in spots:

        def price(candidate: tuple[float, Box]) -> float:
            far, box = candidate
            return far + 20 * box.outside(frame) + 10 * sum(box.overlap(other) for other in [*taken, *placed])

        placed.append(min(_candidates(spot), key=price)[1])
    return placed


def text(words: str, x: float, y: float, style: str = "", anchor: str = "start") -> Markup:
    """A line of text; `style` is its CSS class."""
    return Markup('<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}</text>').format(
        x, y, style, anchor, escape(printable(words))
    )


def line(start: tuple[float, float], end: tuple[float, float], style: str) -> Markup:
    """A straight line between two points."""
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>').format(*start, *end, style)


def dot(x: float, y: float, radius: float, style: str, tip: str = "") -> Markup:
    """A circle; `tip` is shown when the pointer rests on it."""
    title = Markup("<title>{}</title>").format(printable(tip)) if tip else Markup("")
    circle = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" class="{}">{}</circle>')
    return circle.format(x, y, radius, style, title)


def svg(width: float, height: float, label: str, parts: Iterable[Markup]) -> Markup:
    """A drawing that scales with the page; `label` says what it shows to those who cannot see it."""
    return Markup('<svg viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" role="img" aria-label="{}">{}</svg>').format(
        width, height, width, printable(label), Markup("\n").join(parts)
    )


def label(words: Sequence[str], spot: Spot, box: Box, style: str) -> list[Markup]:
    """What a spot is called, in the box it was given, a note below; a line leads to what lies far from its spot."""
    middle, anchor = (box.left + box.right) / 2, "middle"
    if box.left > spot.x:
        middle, anchor = box.left, "start"
    elif box.right < spot.x:
        middle, anchor = box.right, "end"
    near = min(max(spot.x, box.left), box.right), min(max(spot.y, box.top), box.bottom)
    parts = [
        text(each, middle, box.top + 12 + 15 * at, "note" if at else style, anchor) for at, each in enumerate(words)
    ]
    away = math.dist(near, (spot.x, spot.y))
    if away > spot.radius + 16:
        edge = spot.radius / away
        start = spot.x + edge * (near[0] - spot.x), spot.y + edge * (near[1] - spot.y)
        parts.append(line(start, near, "leader"))
    return parts


def share_words(value: float) -> str:
    """A share at a tick: `0.25` as `25 %`."""
    return f"{100 * value:.10g} %"


def grid(frame: Box, across: Scale, up: Scale, ticks: Sequence[float], show: Callable[[float], str]) -> list[Markup]:
    """Light lines at the upright scale's ticks (shares), the base line, and the words of both scales."""
    parts: list[Markup] = []
    for value in linear_ticks(up.low, up.high):
        parts.append(line((frame.left, up(value)), (frame.right, up(value)), "grid"))
        parts.append(text(share_words(value), frame.left - 8, up(value) + 4, "tick", "end"))
    parts.append(line((frame.left, frame.bottom), (frame.right, frame.bottom), "base"))
    for value in ticks:
        parts.append(line((across(value), frame.bottom), (across(value), frame.bottom + 4), "base"))
        parts.append(text(show(value), across(value), frame.bottom + 18, "tick", "middle"))
    return parts
