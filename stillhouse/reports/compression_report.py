"""The report of a compression: what was asked and reached, the picture of all that was tried, what each lever does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from markupsafe import Markup

from stillhouse.bundle.certificate import Certificate
from stillhouse.reports import pages, sentences
from stillhouse.reports.compression_record import CompressionRecord, FormRecord
from stillhouse.reports.drawing import (
    Box,
    Scale,
    Spot,
    dot,
    grid,
    label,
    line,
    log_ticks,
    place,
    svg,
    text,
    text_width,
)
from stillhouse.reports.figures import millis, percent, shorten, size, whole_percent

__all__ = ["headline", "pareto", "render"]

LEFT, RIGHT, TOP, BOTTOM = 58, 22, 30, 48
"""Margins around the plot, in pixels."""
FONT = 13
MEANINGS = {
    "classification": "accuracy, or agreement with the whole model where answers are not known",
    "image": "accuracy, or agreement with the whole model where answers are not known",
    "chat": "the share of tokens that are the likeliest",
    "embedding": "the rank correlation of similarities with the whole model's",
}
LEVERS = {
    "layers": "blocks kept",
    "ffn": "share of feed-forward units kept",
    "width": "share of the hidden width, or of the channels, kept",
    "rank": "share of the linear layers' weights kept as thin factors",
    "vocabulary": "tokens kept",
    "precision": "bits",
}


def render(record: CompressionRecord, certificate: Certificate | None) -> str:
    """The page as HTML that needs nothing beside it; every text that came from outside is escaped."""
    page = pages.open_template("compression.html.jinja", autoescape=True, filters={})
    return page.render(
        record=record,
        name=Path(record.model).name,
        certificate=certificate,
        headline=headline(record),
        asked=asked(record),
        verdict=None if certificate is None else sentences.verdict_sentence(certificate),
        meaning=MEANINGS[record.task],
        levers=[
            (name, LEVERS[name], [(setting, damage) for setting, damage in settings.items() if damage > 0])
            for name, settings in record.alone.items()
            if len(settings) > 1
        ],
        pareto=partial(pareto, record),
        widest=max((damage for settings in record.alone.values() for damage in settings.values()), default=0.0),
    )


def asked(record: CompressionRecord) -> str:
    """What was asked for, as a clause."""
    goal = record.goal
    parts = [f"at most {size(goal.bytes)}"] if goal.bytes is not None else []
    parts += [f"at most {millis(goal.ms)} an answer"] if goal.ms is not None else []
    parts += [f"at most {whole_percent(goal.drop)} of quality lost"] if goal.drop is not None else []
    return " and ".join(parts)


def headline(record: CompressionRecord) -> str:
    """What came of it, in one sentence."""
    form, test = record.chosen_form, record.test
    times = record.whole.bytes / form.bytes
    change = f"{'loses' if test.drop > 0 else 'gains'} {percent(abs(test.drop), 2)} of quality"
    lost = change if test.drop else "loses no quality"
    found = f"{times:.1f} × smaller at {size(form.bytes)}, {record.whole.ms / form.ms:.1f} × faster, it {lost}"
    if record.reached:
        return f"{found} on test rows."
    return f"Nothing that was tried reaches {asked(record)}; the nearest is {found} on test rows."


def pareto(record: CompressionRecord, width: int) -> Markup:
    """Quality against bytes of all that was tried and of the whole model; what was asked for as dashed lines."""
    forms = [replace(record.whole, words="the whole model"), *record.forms]
    chosen, small = record.chosen_form, width < 500
    height = min(max(round(0.46 * width), 380), 430)
    frame = Box(LEFT, TOP, width - RIGHT, height - BOTTOM)
    across, up = _scales(forms, record, frame)
    parts = grid(frame, across, up, log_ticks(across.low, across.high), size)
    parts += [
        text("Quality on selection rows", 2, 14, "axis"),
        text("← smaller · bytes of graph and tokenizer (log scale)", frame.right, height - 6, "axis", "end"),
    ]
    goal, obstacles = record.goal, list[Box]()
    if goal.bytes is not None:
        parts.append(line((across(goal.bytes), frame.top), (across(goal.bytes), frame.bottom), "goal"))
    if goal.drop is not None:
        bar, words = up(record.whole.quality - goal.drop), f"at most {whole_percent(goal.drop)} lost"
        parts += [line((frame.left, bar), (frame.right, bar), "goal")]
        parts += [text(words, frame.right - 4, bar - 6, "goal-word", "end")]
        obstacles = [Box(frame.right - text_width(words, FONT), bar - 18, frame.right, bar + 3)]
    spots = [_spot(form, across, up, small) for form in forms]
    for form, spot in zip(forms, spots, strict=True):
        tip = f"{form.words}: {percent(form.quality, 2)}, {size(form.bytes)}, {millis(form.ms)}"
        parts.append(dot(spot.x, spot.y, spot.radius, "picked" if form is chosen else "rung", tip))
    for form, spot, box in zip(forms, spots, place(spots, obstacles, frame), strict=True):
        parts += label(_words(form, small), spot, box, "strong" if form is chosen else "word")
    return svg(width, height, f"Quality against size of {len(forms)} forms of the model", parts)


def _scales(forms: Sequence[FormRecord], record: CompressionRecord, frame: Box) -> tuple[Scale, Scale]:
    bytes_ = [form.bytes for form in forms] + ([record.goal.bytes] if record.goal.bytes is not None else [])
    across = Scale(min(bytes_) / 1.6, max(bytes_) * 1.6, frame.left, frame.right, log=True)
    ends = [form.quality for form in forms]
    ends += [record.whole.quality - record.goal.drop] if record.goal.drop is not None else []
    room = max(max(ends) - min(ends), 0.01) * 0.18
    return across, Scale(max(min(ends) - room, 0.0), min(max(ends) + room, 1.0), frame.bottom, frame.top)


def _words(form: FormRecord, small: bool) -> list[str]:
    name = shorten(form.words, 22 if small else 44)
    return [name] if small else [name, f"{percent(form.quality, 2)} · {size(form.bytes)} · {millis(form.ms)}"]


def _spot(form: FormRecord, across: Scale, up: Scale, small: bool) -> Spot:
    words = _words(form, small)
    widest = max(text_width(each, FONT) for each in words)
    return Spot(across(form.bytes), up(form.quality), 6 if small else 8, widest, 15 * len(words))
