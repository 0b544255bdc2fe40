"""Assembly: the chunks of a streamed chat completion put together to what would have come unstreamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast, final

__all__ = ["Assembly"]

HEAD = ("id", "created", "model", "system_fingerprint", "service_tier")


@dataclass(slots=True)
class Fragments:
    """What has come of one choice: texts in pieces, tool calls by their index."""

    texts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    calls: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    logprobs: dict[str, list[Any]] | None = None
    finish_reason: str | None = None


@final
class Assembly:
    """Takes chunks in their order; fields that nobody knows are kept: texts joined, of others the last."""

    def __init__(self) -> None:
        self.is_broken = False
        """Set by whoever finds a part that is none of an answer."""
        self._head: dict[str, Any] = {}
        self._choices: dict[int, Fragments] = {}
        self._usage: object = None

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one chunk."""
        for name in HEAD:
            if chunk.get(name) is not None:
                self._head.setdefault(name, chunk[name])
        self._usage = chunk.get("usage") or self._usage
        for choice in _objects(chunk.get("choices")):
            _take(self._choices.setdefault(_index(choice), Fragments()), choice)

    @property
    def is_whole(self) -> bool:
        """Whether every choice that has begun has also ended, and there is one."""
        return bool(self._choices) and all(each.finish_reason for each in self._choices.values())

    def completion(self) -> dict[str, Any]:
        """The JSON object of the whole answer; without usage when none was told."""
        choices = [
            {
                "index": index,
                "message": _message(each),
                "logprobs": each.logprobs,
                "finish_reason": each.finish_reason,
            }
            for index, each in sorted(self._choices.items())
        ]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": self._usage}


def _take(fragments: Fragments, choice: Mapping[str, Any]) -> None:
    fragments.finish_reason = choice.get("finish_reason") or fragments.finish_reason
    for name, told in _object(choice.get("logprobs")).items():
        if told:
            fragments.logprobs = fragments.logprobs or {"content": [], "refusal": []}
            fragments.logprobs.setdefault(name, []).extend(_objects(told))
    for name, value in _object(choice.get("delta")).items():
        if name == "tool_calls":
            for call in _objects(value):
                _take_call(fragments.calls.setdefault(_index(call), {}), call)
        elif name == "function_call":
            _take_call(fragments.values.setdefault(name, {}), _object(value))
        elif isinstance(value, str) and name != "role":
            fragments.texts.setdefault(name, []).append(value)
        elif value is not None:
            fragments.values[name] = value


def _take_call(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Add a piece of a tool call: its name and arguments are joined, of its id and type the last holds."""
    for name, value in piece.items():
        if isinstance(value, dict):
            _take_call(call.setdefault(name, {}), _object(cast(object, value)))
        elif name in ("name", "arguments", "input"):
            call[name] = call.get(name, "") + (value or "")
        elif name != "index" and value is not None:
            call[name] = value


def _index(part: Mapping[str, Any]) -> int:
    index = part.get("index")
    return index if isinstance(index, int) else 0


def _object(value: object) -> dict[str, Any]:
    """A JSON object; of anything else, none of its fields."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects of a JSON array; of anything else, none."""
    return [_object(each) for each in cast(list[object], value)] if isinstance(value, list) else []


def _message(fragments: Fragments) -> dict[str, Any]:
    texts = {name: "".join(pieces) for name, pieces in fragments.texts.items()}
    values = {name: value for name, value in fragments.values.items() if value != {}}
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, **values, **texts}
    if fragments.calls:
        message["tool_calls"] = [call for _, call in sorted(fragments.calls.items())]
        message["content"] = message["content"] or None
    message["refusal"] = message["refusal"] or None
    return message
