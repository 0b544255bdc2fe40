"""Words: the texts in messages and answers, changed or left out before they are kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any, cast

__all__ = [
    "FIELD",
    "Redact",
    "answer_reworded",
    "answer_without_words",
    "reworded",
    "said_reworded",
    "sampling_only",
    "tree_reworded",
    "value_reworded",
]

Redact = Callable[[str], str]
"""A text as it may be kept."""

TEXTS = (
    *("content", "refusal", "text", "arguments", "input", "reasoning", "reasoning_content"),
    *("thinking", "summary", "transcript", "filename"),
)
"""The fields of messages, of their parts and of tool calls that hold texts of people and models."""
WITHIN = (
    *("content", "tool_calls", "function", "function_call", "custom", "file", "audio"),
    *("reasoning_details", "thinking_blocks"),
)
"""The fields in which there are more of them."""
TOOLS = ("tool", "function")
"""Whose messages have a tool's name, and nobody's."""
FIELD = re.compile(r"[\w.$-]+")
"""What keys of JSON look like that name a field."""
NUMBERS = ("seed", "top_p", "temperature", "presence_penalty", "frequency_penalty")


def reworded(messages: Sequence[Any], redact: Redact) -> list[Any]:
    """Messages with every text and whoever is named changed; pictures, sounds, names of tools and roles stay."""
    return [_message(message, redact) for message in messages]


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


def tree_reworded(value: Any, redact: Redact, rekey: Redact, name: str = "") -> Any:
    """A value of JSON changed; what it is called counts as a word before it. A number that is changed becomes a text.

    `rekey` changes the keys of objects; two that become the same stay two.
    """
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for key, each in cast("dict[str, Any]", value).items():
            made[_free(rekey(key), made)] = tree_reworded(each, redact, rekey, key)
        return made
    if isinstance(value, list):
        return [tree_reworded(each, redact, rekey, name) for each in cast("list[Any]", value)]
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) > 99_999
    if not (is_number or isinstance(value, str)):
        return value
    written = str(value)
    changed = value_reworded(name, written, redact) if name else redact(written)
    return value if changed == written else changed


def said_reworded(said: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """What people say of an answer, changed: what it should be or should not, their words, and metadata.

    A label and who said it stay: by these it is used.
    """
    changed = dict(said)
    for name in ("correction", "rejected"):
        if name in said:
            changed[name] = _message(said[name], redact)
    if "comment" in said:
        changed["comment"] = redact(said["comment"])
    if "metadata" in said:
        changed["metadata"] = {name: value_reworded(name, value, redact) for name, value in said["metadata"].items()}
    return changed


def sampling_only(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request's numbers, without what was asked and by whom."""
    return {name: request[name] for name in NUMBERS if name in request}


def _message(message: Any, redact: Redact) -> Any:
    changed = _reworded(message, redact)
    if not isinstance(changed, dict):
        return changed
    known = cast(dict[str, Any], changed)
    if known.get("role") not in TOOLS and isinstance(name := known.get("name"), str):
        known["name"] = _name(name, redact)
    return known


def _name(name: str, redact: Redact) -> str:
    """Who speaks, changed; the parts of a name hang together by underscores or hyphens there."""
    if (changed := redact(name)) != name:
        return changed
    spaced = re.sub(r"[_-]", " ", name)
    changed = value_reworded("name", spaced, redact)
    return name if changed == spaced else changed


def _reworded(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redact(value)
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
        elif name in TEXTS:
            changed[name] = tree_reworded(each, redact, lambda key: key if FIELD.fullmatch(key) else redact(key))
    return changed


def _free(key: str, taken: Collection[str]) -> str:
    """A key, or where it is taken the same with a number: two addresses stay two."""
    if key not in taken:
        return key
    return next(other for number in count(2) if (other := f"{key} {number}") not in taken)


def _choice(choice: Any, redact: Redact) -> Any:
    known = cast(dict[str, Any], choice)
    message = _message(known.get("message"), redact)
    if message == known.get("message"):
        return known
    return {**known, "message": message, "logprobs": None}
