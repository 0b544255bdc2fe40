"""ShareGPT's rows: turns by human and gpt, calls of tools and what these observed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from stillhouse.data.exporters.openai import answer_of
from stillhouse.data.exporters.out import Exported, Unfit, write_lines
from stillhouse.data.items import Item
from stillhouse.data.shelf import Shelf

__all__ = ["write_sharegpt"]

NAMES = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system", "developer": "system"}


def write_sharegpt(items: Iterable[Item], out: Path, shelf: Shelf | None = None) -> Exported:
    """A row for each item with an answer, in words or calls of tools; others are left out and counted."""
    return write_lines(items, out, _row)


def _row(item: Item) -> Mapping[str, Any]:
    answer = answer_of(item)
    if item.media:
        raise Unfit("it has a file, which these rows do not hold")
    row: dict[str, Any] = {}
    messages = list(item.messages)
    if messages and messages[0]["role"] in ("system", "developer"):
        row["system"] = _turn(messages.pop(0))["value"]
    row["conversations"] = [_turn(each) for each in messages]
    if item.rejected is not None:
        row |= {"chosen": _turn(answer), "rejected": _turn(item.rejected)}
    else:
        row["conversations"].append(_turn(answer))
    if "tools" in item.facts.metadata:
        row["tools"] = item.facts.metadata["tools"]
    return {**row, **({"id": item.facts.conversation} if item.facts.conversation else {})}


def _turn(message: Mapping[str, Any]) -> dict[str, str]:
    calls = message.get("tool_calls")
    if calls:
        if message.get("content"):
            raise Unfit("a turn both speaks and calls a tool")
        told = [{"name": each["function"]["name"], "arguments": _arguments(each["function"])} for each in calls]
        return {"from": "function_call", "value": orjson.dumps(told[0] if len(told) == 1 else told).decode()}
    content = message.get("content")
    if not isinstance(content, str) or message["role"] not in NAMES:
        raise Unfit("a turn is not in words")
    return {"from": NAMES[message["role"]], "value": content}


def _arguments(function: Mapping[str, Any]) -> Any:
    try:
        return orjson.loads(function.get("arguments") or "{}")
    except orjson.JSONDecodeError:
        return function["arguments"]
