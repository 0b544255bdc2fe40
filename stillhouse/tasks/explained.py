"""A row with the reasons for its answer as two rows: the question asked for the answer, and asked for the reasons.

Rows are `prompt` and `completion` (texts or lists of messages), or `messages` that end with the answer, and
`rationale`, a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from stillhouse.errors import UsageError

__all__ = ["PREFIXES", "asked_twice", "is_explained"]

Completed = dict[str, Any]
"""A row with `prompt` and `completion`, and perhaps `tools`."""
PREFIXES = ("", "explain: ")
"""What is put before a question to ask for its answer (nothing, as it is asked in use), and for the reasons."""


def is_explained(row: Any) -> bool:
    """Whether a row gives reasons."""
    return isinstance(row, Mapping) and "rationale" in row


def asked_twice(row: Mapping[str, Any], prefixes: Sequence[str] = PREFIXES) -> list[Completed]:
    """The row that asks for the answer and, where reasons are given, the row that asks for them.

    A prefix stands before the prompt, of a conversation before what the user said last. Raises UsageError where there
    is no question, or no answer.
    """
    prompt, answer = _question(row)
    reasons = row.get("rationale")
    if reasons is not None and not isinstance(reasons, str):
        raise UsageError(f"`rationale` must be a text; it is {str(reasons)[:60]!r}.")
    extra = {} if row.get("tools") is None else {"tools": row["tools"]}
    made = [{"prompt": _after(prefixes[0], prompt), "completion": answer, **extra}]
    if reasons and reasons.strip():
        told = reasons if isinstance(prompt, str) else [{"role": "assistant", "content": reasons}]
        made.append({"prompt": _after(prefixes[1], prompt), "completion": told, **extra})
    return made


def _question(row: Mapping[str, Any]) -> tuple[Any, Any]:
    """Prompt and answer, both texts or both lists of messages."""
    if "prompt" in row and "completion" in row:
        prompt, answer = row["prompt"], row["completion"]
        if isinstance(prompt, str) == isinstance(answer, str):
            return prompt, answer
        prompt = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        return prompt, [{"role": "assistant", "content": answer}] if isinstance(answer, str) else answer
    turns = row.get("messages")
    if isinstance(turns, Sequence) and not isinstance(turns, str):
        said = list(cast("Sequence[Any]", turns))
        if len(said) > 1 and isinstance(said[-1], Mapping) and said[-1].get("role") == "assistant":
            return said[:-1], said[-1:]
        raise UsageError("A conversation with a `rationale` must end with the assistant's answer.")
    keys = ", ".join(sorted(row)) or "none"
    raise UsageError(
        "A row of rationales needs `prompt` and `completion`, or `messages`, with `rationale` beside them; its keys "
        f"are: {keys}."
    )


def _after(prefix: str, prompt: Any) -> Any:
    """A prompt with a prefix before its question."""
    if not prefix:
        return prompt
    if isinstance(prompt, str):
        return prefix + prompt
    turns = list(cast("Sequence[Mapping[str, Any]]", prompt))
    last = next((at for at in reversed(range(len(turns))) if turns[at].get("role") == "user"), None)
    if last is None:
        raise UsageError("The conversation has no message of the user, before which a prefix could stand.")
    words = turns[last].get("content")
    longer = prefix + words if isinstance(words, str) else [{"type": "text", "text": prefix}, *(words or [])]
    turns[last] = {**turns[last], "content": longer}
    return turns
