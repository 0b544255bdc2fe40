"""OpenAI's fine-tuning files: conversations with their tools, and preferences for DPO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from stillhouse.data.exporters.out import Exported, Unfit, write_lines
from stillhouse.data.items import Item, Kind
from stillhouse.data.shelf import Shelf

__all__ = ["answer_of", "write_openai"]

Message = Mapping[str, Any]
KEPT = ("role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "weight")
"""What a message of a training file may have."""
BESIDE = ("tools", "parallel_tool_calls", "functions")


def write_openai(items: Iterable[Item], out: Path, shelf: Shelf | None = None) -> Exported:
    """A row for each item with an answer; where there is none, its truth or its label is the answer.

    Items without any of these, and files, which these rows do not hold, are left out and counted.
    """
    return write_lines(items, out, _row)


def _row(item: Item) -> Mapping[str, Any]:
    if item.media:
        raise Unfit("it has a file, which fine-tuning rows do not hold")
    if not item.messages:
        raise Unfit("it has no messages")
    messages, answer, beside = [_plain(each) for each in item.messages], answer_of(item), _beside(item)
    if item.kind == Kind.PREFERENCE and item.rejected is not None:
        better, worse = (_plain(each) for each in (answer, item.rejected))
        told = {"messages": messages, **beside}
        return {"input": told, "preferred_output": [better], "non_preferred_output": [worse]}
    return {"messages": [*messages, _plain(answer)], **beside}


def answer_of(item: Item) -> Message:
    """The answer that a student is to learn; raises Unfit where there is none."""
    said = item.answer
    if said is None:
        words = item.truth or item.label
        if words is None:
            raise Unfit("it has no answer")
        said = {"role": "assistant", "content": words}
    return said


def _plain(message: Message) -> dict[str, Any]:
    return {key: message[key] for key in KEPT if key in message}


def _beside(item: Item) -> dict[str, Any]:
    """The tools that were offered, as they were imported."""
    found: dict[str, Any] = {}
    for key in BESIDE:
        if key in item.facts.metadata:
            try:
                found[key] = orjson.loads(item.facts.metadata[key])
            except orjson.JSONDecodeError:
                continue
    return found
