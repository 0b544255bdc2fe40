"""A row of preferences as two rows of one prompt: one with the better answer, one with the worse.

Rows are `prompt`, `chosen` and `rejected` (each a text or a list of messages; whole conversations need no `prompt`), or
`input` with `messages`, `preferred_output` and `non_preferred_output`, as OpenAI's preference fine-tuning takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from stillhouse.errors import UsageError

__all__ = ["is_pair", "pair_of"]

Completed = dict[str, Any]
"""A row with `prompt` and `completion`, and perhaps `tools`."""
ANSWERING = ("assistant", "tool", "function")
"""Roles that cannot begin a conversation."""


def is_pair(row: Any) -> bool:
    """Whether a row names two answers, of which one is better."""
    return isinstance(row, Mapping) and ({"chosen", "rejected"} <= set(row) or {*_OPENAI} <= set(row))


def pair_of(row: Mapping[str, Any]) -> tuple[Completed, Completed]:
    """The row with the better answer, and that with the worse, each as `prompt` and `completion`.

    Raises UsageError where one of the three is missing, the answers do not follow the same prompt, or are the same.
    """
    prompt, better, worse, tools = _parts(row)
    if not (isinstance(prompt, str) and isinstance(better, str) and isinstance(worse, str)):
        prompt, better, worse = _conversations(prompt, better, worse)
    if better == worse:
        raise UsageError("Both answers of the pair are the same, so neither is better. Leave the row out.")
    extra = {} if tools is None else {"tools": tools}
    made = [{"prompt": prompt, "completion": answer, **extra} for answer in (better, worse)]
    return made[0], made[1]


_OPENAI = ("preferred_output", "non_preferred_output")


def _parts(row: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Prompt, better answer, worse answer, tools."""
    if "chosen" in row and "rejected" in row:
        return row.get("prompt"), row["chosen"], row["rejected"], row.get("tools")
    given = row.get("input")
    if isinstance(given, Mapping) and all(name in row for name in _OPENAI):
        asked = cast("Mapping[str, Any]", given)
        return asked.get("messages"), row[_OPENAI[0]], row[_OPENAI[1]], asked.get("tools")
    keys = ", ".join(sorted(row)) or "none"
    raise UsageError(
        "A row of preferences needs `prompt`, `chosen` and `rejected`, or `input` with `messages`, `preferred_output` "
        f"and `non_preferred_output`; its keys are: {keys}."
    )


def _conversations(prompt: Any, better: Any, worse: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Prompt and answers as messages; of whole conversations the prompt is what both begin with."""
    if prompt is None and (isinstance(better, str) or isinstance(worse, str)):
        raise UsageError("The pair has no `prompt`, so it is not known where its answers begin. Give the prompt.")
    one, other = _messages(better, "assistant", "chosen"), _messages(worse, "assistant", "rejected")
    if not (_role(one[0]) in ANSWERING and _role(other[0]) in ANSWERING):
        asked, one, other = _apart(one, other)
    elif prompt is None:
        raise UsageError("The pair has no prompt: its answers are answers only. Give `prompt`.")
    else:
        asked = _messages(prompt, "user", "prompt")
    return asked, one, other


def _apart(one: list[Any], other: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """What two whole conversations begin with, and what is left of each."""
    shared = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    prompt, one, other = one[:shared], one[shared:], other[shared:]
    if not prompt or not one or not other or {_role(one[0]), _role(other[0])} - set(ANSWERING):
        raise UsageError(
            "The two conversations of the pair must begin with the same messages and then answer differently; they "
            f"share {shared} messages, after which there are {len(one)} and {len(other)}."
        )
    return prompt, one, other


def _messages(value: Any, role: str, name: str) -> list[Any]:
    """A text as a message of a role; messages as they are."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if not isinstance(value, Sequence) or not value:
        raise UsageError(f"`{name}` must be a text or a list of messages; it is {str(value)[:60]!r}.")
    return list(cast("Sequence[Any]", value))


def _role(message: Any) -> Any:
    return cast("Mapping[str, Any]", message).get("role") if isinstance(message, Mapping) else None
