"""The layout of a JSON answer: every byte between its values, so that answers can be written alike."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

__all__ = ["Apart", "Layout", "build_pieces", "complete", "take_apart"]

SPACE = re.compile(r"\s*")
FENCE_OPEN = re.compile(r"\s*(?:```\w*\s*)?(?=\{)")
FENCE_CLOSE = re.compile(r"\s*(?:```\s*)?")


@dataclass(frozen=True, slots=True)
class Layout:
    """`head`, then for each key the text before it and the key as written up to its value, then `tail`.

    `{"a": 1, "b": 2}` is head `{`, keys `("a", "", '"a": ')` and `("b", ", ", '"b": ')`, tail `}`.
    White space around the whole answer is no part of it.
    """

    head: str
    keys: tuple[tuple[str, str, str], ...]
    tail: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.keys)


@dataclass(frozen=True, slots=True)
class Apart:
    """One answer taken apart: its layout, each key's value as written, and where in the text it starts."""

    layout: Layout
    values: dict[str, str]
    starts: dict[str, int]


def take_apart(text: str) -> Apart | None:
    """The layout and values of an answer that is one JSON object, bare or in a code fence; None for others."""
    opening = FENCE_OPEN.match(text)
    if opening is None:
        return None
    begin = opening.end() + 1
    try:
        keys, values, starts, end = _scan(text, begin)
    except (ValueError, IndexError):
        return None
    closing = FENCE_CLOSE.fullmatch(text, _skip(text, end) + 1)
    if closing is None or ("```" in closing[0]) != ("```" in opening[0]):
        return None
    return Apart(Layout(text[:begin].lstrip(), tuple(keys), text[end:].rstrip()), values, starts)


def _scan(text: str, begin: int) -> tuple[list[tuple[str, str, str]], dict[str, str], dict[str, int], int]:
    """Keys, values and value starts of the object whose brace ends at `begin`, and where its last value ends.

    Raises ValueError or IndexError where the text is no JSON object with different keys.
    """
    decoder = json.JSONDecoder()
    keys: list[tuple[str, str, str]] = []
    values: dict[str, str] = {}
    starts: dict[str, int] = {}
    gap, separator = begin, ","
    position = begin - 1
    while separator == ",":
        start = _skip(text, position + 1)
        name, end = decoder.raw_decode(text, start)
        colon = _skip(text, end)
        value_start = _skip(text, colon + 1)
        if not isinstance(name, str) or text[colon] != ":" or name in values:
            raise ValueError(name)
        _, value_end = decoder.raw_decode(text, value_start)
        keys.append((name, text[gap:start], text[start:value_start]))
        values[name], starts[name] = text[value_start:value_end], value_start
        gap, position = value_end, _skip(text, value_end)
        separator = text[position]
    if separator != "}":
        raise ValueError(separator)
    return keys, values, starts, gap


def _skip(text: str, position: int) -> int:
    found = SPACE.match(text, position)
    return position if found is None else found.end()


def complete(layout: Layout, names: Collection[str]) -> Layout:
    """The layout with the keys it lacks added at its end, in the manner of its last key."""
    lead = layout.keys[1][1] if len(layout.keys) > 1 else ", "
    missing = [name for name in names if name not in layout.names]
    added = tuple((name, lead, json.dumps(name, ensure_ascii=False) + ": ") for name in missing)
    return Layout(layout.head, layout.keys + added, layout.tail)


def build_pieces(layout: Layout, literals: Mapping[str, str], fields: Mapping[str, int]) -> tuple[str | int, ...]:
    """The pieces of an answer form: literal text, and a field's index where its label goes.

    `literals` are constant keys with their values as written; keys in neither mapping are left out.
    """
    pieces: list[str | int] = []
    text = layout.head
    first_lead = layout.keys[0][1]
    for name, lead, key in layout.keys:
        if name not in literals and name not in fields:
            continue
        started = bool(pieces) or text != layout.head
        text += (lead if started else first_lead) + key
        if name in fields:
            pieces += [text, fields[name]]
            text = ""
        else:
            text += literals[name]
    return (*pieces, text + layout.tail)
