"""Words: the texts in messages and answers, changed or left out before they are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

__all__ = ["Redact", "answer_reworded", "answer_without_words", "reworded", "sampling_only", "value_reworded"]

Redact = Callable[[str], str]
"""A text as it may be kept."""

TEXTS = ("content", "refusal", "text", "arguments", "input", "reasoning", "reasoning_content")
"""The fields of messages, of their parts and of tool calls that hold texts of people and models."""
WITHIN = ("content", "tool_calls", "function", "function_call", "custom")
"""The fields in which there are more of them."""
NUMBERS = ("seed", "top_p", "temperature", "presence_penalty", "frequency_penalty")


def reworded(messages: Sequence[Any], redact: Redact) -> list[Any]:
    """Messages with every text changed; pictures, sounds, names and roles stay."""
    return [_reworded(message, redact) for message in messages]


def answer_reworded(told: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """An answer with every text changed; where that changes anything, without the log-probabilities that spell it."""
    return {**told, "choices": [_choice(choice, redact) for choice in told["choices"]]}


def answer_without_words(told: Mapping[str, Any]) -> dict[str, Any]:
    """An answer's numbers: how many choices, why each ended, and the tokens."""
    choices = [
        {
            "index": choice.get("index", 0),
            "message": {"role": "assistant"},
            "logprobs": None,
            "finish_reason": choice.get("finish_reason"),
        }
        for choice in told["choices"]
    ]
    return {**told, "choices": choices}


def value_reworded(name: str, value: str, redact: Redact) -> str:
    """A value with a name, such as one of metadata, changed; its name counts as the word that stands before it."""
    before = f"{name.replace('_', ' ').replace('-', ' ')}: "
    changed = redact(before + value)
    return changed.removeprefix(before) if changed.startswith(before) else redact(value)


def sampling_only(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request's numbers, without what was asked and by whom."""
    return {name: request[name] for name in NUMBERS if name in request}


def _reworded(value: Any, redact: Redact) -> Any:
    if isinstance(value, list):
        return [_reworded(each, redact) for each in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    changed = dict(cast(dict[str, Any], value))
    for name, each in changed.items():
        if isinstance(each, str):
            changed[name] = redact(each) if name in TEXTS else each
        elif name in WITHIN:
            changed[name] = _reworded(each, redact)
    return changed


def _choice(choice: Any, redact: Redact) -> Any:
    known = cast(dict[str, Any], choice)
    message = _reworded(known.get("message"), redact)
    if message == known.get("message"):
        return known
    return {**known, "message": message, "logprobs": None}
