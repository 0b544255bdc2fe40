"""The report's pictures as pure functions from numbers to SVG; colours are the page's CSS variables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from stillhouse.bundle.certificate import CascadeStatement
from stillhouse.reports.drawing import (
    Box,
    Scale,
    Spot,
    dot,
    grid,
    label,
    line,
    linear_ticks,
    log_ticks,
    place,
    share_words,
    svg,
    text,
    text_width,
)
from stillhouse.reports.figures import millis, percent, shorten, size, whole_percent
from stillhouse.reports.record import Curve, ReliabilityBin, RungRecord

__all__ = ["pareto", "reliability", "risk_coverage"]

FONT = 13
LEFT, RIGHT, TOP, BOTTOM = 52, 22, 30, 48
"""Margins around a plot, in pixels."""
DOTS = (4, 30)
"""Smallest and largest radius."""
PHONE = 500
"""Narrower drawings say less and use smaller dots."""
LARGEST_SQUARE = 430


def pareto(rungs: Sequence[RungRecord], chosen: str, goal: float | None, width: int) -> Markup:
    """Agreement against median latency, area by bytes, intervals as whiskers; empty without a rung to draw.

    `goal` is the agreement that the margin asks for, drawn as a dashed line.
    """
    drawn = [rung for rung in rungs if rung.speed.latency_ms_p50 > 0 and math.isfinite(rung.quality.agreement)]
    if not drawn:
        return Markup("")
    height = min(max(round(0.46 * width), 380), 430)
    frame = Box(LEFT, TOP, width - RIGHT, height - BOTTOM)
    across, up = _pareto_scales(drawn, goal, frame)
    parts = [*grid(frame, across, up, log_ticks(across.low, across.high), _number)]
    parts += [
        text("Agreement with the teacher", 2, 14, "axis"),
        text("← faster · median latency of one call, ms (log scale)", frame.right, height - 6, "axis", "end"),
    ]
    obstacles: list[Box] = []
    if goal is not None:
        words = f"the margin asks for {whole_percent(goal)}"
        parts += [line((frame.left, up(goal)), (frame.right, up(goal)), "goal")]
        parts += [text(words, frame.right - 4, up(goal) - 6, "goal-word", "end")]
        obstacles = [Box(frame.right - text_width(words, FONT), up(goal) - 18, frame.right, up(goal) + 3)]
    drawn.sort(key=lambda rung: (rung.name == chosen, -rung.bytes))
    spots = [_spot(rung, drawn, across, up) for rung in drawn]
    whiskers = [_whisker_ends(rung, up) for rung in drawn]
    obstacles += [Box(s.x - 4, top, s.x + 4, bottom) for s, (top, bottom) in zip(spots, whiskers, strict=True)]
    for rung, spot, ends in zip(drawn, spots, whiskers, strict=True):
        parts += _rung_mark(rung, spot, ends, "picked" if rung.name == chosen else "rung")
    boxes = reversed(place(spots[::-1], obstacles, frame))  # the chosen one picks its place first
    for rung, spot, box in zip(drawn, spots, boxes, strict=True):
        parts += label(_words(rung, across), spot, box, "strong" if rung.name == chosen else "word")
    return svg(width, height, f"Agreement against latency of {len(drawn)} students", parts)


def _pareto_scales(rungs: Sequence[RungRecord], goal: float | None, frame: Box) -> tuple[Scale, Scale]:
    latencies = [rung.speed.latency_ms_p50 for rung in rungs]
    across = Scale(min(latencies) / 1.8, max(latencies) * 1.8, frame.left, frame.right, log=True)
    ends = [end for rung in rungs for end in (*rung.quality.agreement_interval, rung.quality.agreement)]
    ends = [end for end in [*ends, *([] if goal is None else [goal])] if math.isfinite(end)]
    room = max(max(ends) - min(ends), 0.02) * 0.14
    return across, Scale(max(min(ends) - room, 0.0), min(max(ends) + room, 1.0), frame.bottom, frame.top)


def _spot(rung: RungRecord, rungs: Sequence[RungRecord], across: Scale, up: Scale) -> Spot:
    largest = max(max(each.bytes for each in rungs), 1)
    radius = max(DOTS[1] * math.sqrt(rung.bytes / largest) * (0.6 if across.end < PHONE else 1), DOTS[0])
    words = _words(rung, across)
    widest = max(text_width(line, FONT) for line in words)
    return Spot(across(rung.speed.latency_ms_p50), up(rung.quality.agreement), radius, widest, 15 * len(words))


def _words(rung: RungRecord, across: Scale) -> list[str]:
    """What a rung's label says; on a phone its name alone."""
    name = shorten(rung.name, 24)
    return [name] if across.end < PHONE else [name, _detail(rung)]


def _detail(rung: RungRecord) -> str:
    return f"{percent(rung.quality.agreement)} · {size(rung.bytes)}"


def _whisker_ends(rung: RungRecord, up: Scale) -> tuple[float, float]:
    """Top and bottom pixel of a rung's interval; its own height when the interval is unknown."""
    low, high = rung.quality.agreement_interval
    own = up(rung.quality.agreement)
    return (up(high), up(low)) if math.isfinite(low + high) else (own, own)


def _rung_mark(rung: RungRecord, spot: Spot, ends: tuple[float, float], style: str) -> list[Markup]:
    tip = f"{rung.name}: {_detail(rung)}, {millis(rung.speed.latency_ms_p50)}"
    return [dot(spot.x, spot.y, spot.radius, style, tip), *_whisker(spot.x, *ends), dot(spot.x, spot.y, 2.5, "core")]


def risk_coverage(curve: Curve, cascade: CascadeStatement, width: int) -> Markup:
    """Disagreement among the kept share of calls, the promised risk and the certified point; empty without a curve."""
    points = [
        (kept, wrong)
        for kept, wrong in zip(curve.coverage, curve.disagreement, strict=True)
        if math.isfinite(kept + wrong)
    ]
    if len(points) < 2:
        return Markup("")
    height = 360
    frame = Box(LEFT, TOP, width - RIGHT, height - BOTTOM)
    certified = cascade.threshold is not None and math.isfinite(cascade.kept_disagreement)
    heights = [points[-1][1] * 1.1, cascade.risk * 2]
    heights += [end * 1.1 for end in cascade.kept_interval if certified and math.isfinite(end)]
    across, up = Scale(0, 1, frame.left, frame.right), Scale(0, min(max(heights), 1.0), frame.bottom, frame.top)
    parts = [*grid(frame, across, up, linear_ticks(0, 1), share_words)]
    parts += [
        text("Disagreement among the calls it keeps", 2, 14, "axis"),
        text("share of calls the student keeps", frame.right, height - 6, "axis", "end"),
    ]
    if certified:
        parts += _kept_region(frame, across(cascade.coverage), cascade.coverage)
    promised = up(cascade.risk)
    parts += [
        line((frame.left, promised), (frame.right, promised), "goal"),
        text(f"promised: at most {whole_percent(cascade.risk)}", frame.left + 6, promised - 7, "goal-word"),
    ]
    thinned = points[:: max(1, len(points) // 240)] + points[-1:]
    path = " ".join(f"{across(kept):.1f},{up(wrong):.1f}" for kept, wrong in thinned)
    parts.append(Markup('<polyline points="{}" class="curve"/>').format(path))
    if certified:
        parts += _certified_point(cascade, across, up)
    return svg(width, height, "Disagreement against the share of calls kept", parts)


def _kept_region(frame: Box, x: float, share: float) -> list[Markup]:
    """A tint over the share that the student keeps, and words on both sides where they fit."""
    tint = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="kept"/>').format(
        frame.left, frame.top, x - frame.left, frame.bottom - frame.top
    )
    parts = [tint, line((x, frame.top), (x, frame.bottom), "leader")]
    student, teacher = f"student answers {percent(share, 0)}", f"teacher answers {percent(1 - share, 0)}"
    if x - frame.left > text_width(student, FONT) + 12:
        parts.append(text(student, x - 8, frame.top + 18, "strong", "end"))
    if frame.right - x > text_width(teacher, FONT) + 12:
        parts.append(text(teacher, x + 8, frame.top + 18, "word"))
    return parts


def _certified_point(cascade: CascadeStatement, across: Scale, up: Scale) -> list[Markup]:
    x, y = across(cascade.coverage), up(cascade.kept_disagreement)
    low, high = cascade.kept_interval
    ends = _whisker(x, up(high), up(low)) if math.isfinite(low + high) else []
    tip = f"keeps {percent(cascade.coverage, 0)}, {percent(cascade.kept_disagreement)} disagreement"
    return [*ends, dot(x, y, 6, "point", tip)]


def reliability(bins: Sequence[ReliabilityBin], width: int) -> Markup:
    """Agreement against confidence, area by calls, the diagonal as the ideal; empty without calls."""
    drawn = [each for each in bins if each.count and math.isfinite(each.confidence + each.agreement)]
    if not drawn:
        return Markup("")
    width = min(width, LARGEST_SQUARE)
    height = width - LEFT - RIGHT + TOP + BOTTOM
    frame = Box(LEFT, TOP, width - RIGHT, height - BOTTOM)
    across, up = Scale(0, 1, frame.left, frame.right), Scale(0, 1, frame.bottom, frame.top)
    parts = [*grid(frame, across, up, linear_ticks(0, 1), share_words)]
    parts += [
        text("Agreement", 2, 14, "axis"),
        text("the student’s confidence", frame.right, height - 6, "axis", "end"),
        line((across(0), up(0)), (across(1), up(1)), "goal"),
        text("too timid", across(0.06), up(0.9), "note"),
        text("too sure", across(0.94), up(0.08), "note", "end"),
    ]
    most = max(each.count for each in drawn)
    for each in sorted(drawn, key=lambda one: -one.count):
        radius = max(16 * math.sqrt(each.count / most), 3)
        tip = f"{each.count} calls at confidence {percent(each.confidence)}: {percent(each.agreement)} agree"
        x, y = across(each.confidence), up(each.agreement)
        parts += [line((x, up(each.confidence)), (x, y), "leader"), dot(x, y, radius, "picked", tip)]
    return svg(width, height, "Agreement against the student's confidence", parts)


def _whisker(x: float, top: float, bottom: float) -> list[Markup]:
    return [
        line((x, top), (x, bottom), "whisker"),
        line((x - 4, top), (x + 4, top), "whisker"),
        line((x - 4, bottom), (x + 4, bottom), "whisker"),
    ]


def _number(value: float) -> str:
    return f"{value:.10g}"
