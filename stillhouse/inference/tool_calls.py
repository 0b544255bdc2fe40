"""Calls of tools, found in what a model writes: `<tool_call>{...}</tool_call>`, or bare JSON that is nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast, final

import orjson

from stillhouse.inference.words import Piece, held_back
from stillhouse.wire.choices import Token, ToolCall

__all__ = ["CLOSE", "OPEN", "ToolCalls"]

OPEN, CLOSE = "<tool_call>", "</tool_call>"


@final
class ToolCalls:
    """Passes text on as it comes and takes the calls out of it, with the space before each.

    An answer that begins with `{` or `[` is held back to its end: it is calls if all of it are objects that name one of
    the functions, and otherwise text. Tokens of calls are dropped.
    """

    def __init__(self, names: frozenset[str], several: bool = True) -> None:
        """`names` of the functions that may be called; only the first call counts unless `several` may be made."""
        self._names, self._several = names, several
        self._text, self._tokens = "", list[Token]()
        self._begun = False  # whether anything but space has come
        self._bare = False
        self.count = 0
        """Calls so far."""

    def add(self, piece: Piece) -> list[Piece | ToolCall]:
        """What is known for certain now that more has come."""
        self._text += piece.text
        self._tokens += piece.tokens
        if not self._begun:
            first = self._text.lstrip()[:1]
            self._begun, self._bare = bool(first), first in {"{", "["}
        if self._bare or not self._begun:
            return []
        found: list[Piece | ToolCall] = []
        while (step := self._step()) is not None:
            found += step
        return [*found, *self._words(len(self._text) - self._kept())]

    def end(self) -> list[Piece | ToolCall]:
        """What was held back, where the answer ends."""
        calls = _read_calls(self._text, self._names) if self._bare else []
        if not calls and self._text.lstrip().startswith(OPEN):
            calls = _read_calls(self._text.lstrip().removeprefix(OPEN), None)
        if not calls:
            return self._words(len(self._text)) if self._text.strip() or not self.count else []
        self._text, self._tokens = "", []
        return [*self._count(calls)]

    def _step(self) -> list[Piece | ToolCall] | None:
        """One whole call, with the words before it; None where there is none."""
        start = self._text.find(OPEN)
        end = self._text.find(CLOSE, start)
        if start < 0 or end < 0:
            return None
        calls = _read_calls(self._text[start + len(OPEN) : end], None)
        if not calls:
            return self._words(end + len(CLOSE))
        rest = self._text[end + len(CLOSE) :]
        before = self._words(len(self._text[:start].rstrip()))
        self._text, self._tokens = rest, []
        return [*before, *self._count(calls)]

    def _kept(self) -> int:
        """How many of the last characters may belong to a call, space before them included."""
        start = self._text.find(OPEN)
        kept = len(self._text) - start if start >= 0 else held_back(self._text, [OPEN])
        return len(self._text) - len(self._text[: len(self._text) - kept].rstrip())

    def _words(self, size: int) -> list[Piece | ToolCall]:
        """Pass on so many characters; tokens go along once nothing is held back."""
        text, self._text = self._text[:size], self._text[size:]
        tokens: tuple[Token, ...] = ()
        if not self._text:
            tokens, self._tokens = tuple(self._tokens), []
        return [Piece(text, tokens)] if text or tokens else []

    def _count(self, calls: Sequence[ToolCall]) -> Sequence[ToolCall]:
        calls = calls if self._several else calls[: 1 - min(self.count, 1)]
        self.count += len(calls)
        return [replace(call, number=self.count - len(calls) + at) for at, call in enumerate(calls)]


def _read_calls(text: str, names: frozenset[str] | None) -> list[ToolCall]:
    """The calls that a text is, none if any of it is something else; `names`: the functions that there are."""
    try:
        told: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    each = cast(list[object], told) if isinstance(told, list) else [told]
    calls = [_read_call(one) for one in each]
    whole = [call for call in calls if call and (names is None or call.name in names)]
    return whole if len(whole) == len(each) else []


def _read_call(told: object) -> ToolCall | None:
    if not isinstance(told, dict):
        return None
    fields = cast(dict[str, Any], told)
    fields = fields.get("function") if isinstance(fields.get("function"), dict) else fields  # some nest it
    assert fields is not None
    name = fields.get("name")
    arguments = fields.get("arguments", fields.get("parameters"))
    if not isinstance(name, str) or not isinstance(arguments, dict | str):
        return None
    written = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return ToolCall(0, f"call_{secrets.token_hex(12)}", name, written)
