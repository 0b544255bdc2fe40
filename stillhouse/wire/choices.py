"""The JSON of what a model here wrote: choices with text, calls of tools and log-probabilities, whole or in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from stillhouse.chat import Usage
from stillhouse.wire.chat import NEVER, usage_fields, write_event

__all__ = [
    "Head",
    "Token",
    "ToolCall",
    "Written",
    "write_call",
    "write_choices",
    "write_end",
    "write_opening",
    "write_usage",
    "write_words",
]


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer with its natural-log probability, and the likeliest that could stand in its place."""

    content: bytes
    """What it writes; it may end within a character."""
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the caller is asked to call; `arguments` is JSON text."""

    number: int
    """Which of a choice's calls it is, from 0."""
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Written:
    """One whole choice."""

    text: str
    reason: str
    calls: tuple[ToolCall, ...] = ()
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """What all parts of one answer have in common, and which extras were asked for."""

    id: str
    created: int
    model: str
    logprobs: bool = False
    include_usage: bool = False

    def fields(self, kind: str) -> dict[str, object]:
        """The fields that everything of this answer begins with."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def write_choices(head: Head, choices: Sequence[Written], usage: Usage) -> bytes:
    """A whole chat completion."""
    written: list[dict[str, object]] = [
        {
            "index": index,
            "message": _message(choice),
            "logprobs": _logprobs(choice.tokens) if head.logprobs else None,
            "finish_reason": choice.reason,
        }
        for index, choice in enumerate(choices)
    ]
    return orjson.dumps({**head.fields("chat.completion"), "choices": written, "usage": usage_fields(usage)})


def write_opening(head: Head, index: int) -> bytes:
    """The event that begins a choice."""
    told = _logprobs(()) if head.logprobs else None
    return _chunk(head, index, {"role": "assistant", "content": "", "refusal": None}, told)


def write_words(head: Head, index: int, text: str, tokens: Sequence[Token]) -> bytes:
    """The event of some more words."""
    return _chunk(head, index, {"content": text}, _logprobs(tokens) if head.logprobs else None)


def write_call(head: Head, index: int, call: ToolCall) -> bytes:
    """The event of a call of a tool."""
    return _chunk(head, index, {"tool_calls": [{"index": call.number, **_call(call)}]}, None)


def write_end(head: Head, index: int, reason: str) -> bytes:
    """The event that ends a choice."""
    return _chunk(head, index, {}, None, reason)


def write_usage(head: Head, usage: Usage) -> bytes:
    """The event that says what the answer cost, where that was asked for."""
    if not head.include_usage:
        return b""
    return write_event({**head.fields("chat.completion.chunk"), "choices": [], "usage": usage_fields(usage)})


def _chunk(
    head: Head, index: int, delta: dict[str, object], logprobs: dict[str, object] | None, reason: str | None = None
) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
    unknown_yet = {"usage": None} if head.include_usage else {}
    return write_event({**head.fields("chat.completion.chunk"), "choices": [choice], **unknown_yet})


def _message(choice: Written) -> dict[str, object]:
    content = choice.text or (None if choice.calls else "")
    message: dict[str, object] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    if choice.calls:
        message["tool_calls"] = [_call(call) for call in choice.calls]
    return message


def _call(call: ToolCall) -> dict[str, object]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _logprobs(tokens: Sequence[Token]) -> dict[str, object]:
    content = [
        {**_token(token.content, token.logprob), "top_logprobs": [_token(text, value) for text, value in token.top]}
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def _token(content: bytes, logprob: float) -> dict[str, object]:
    return {"token": content.decode(errors="replace"), "logprob": max(logprob, NEVER), "bytes": list(content)}
