"""ShareGPT's rows: conversations of turns by human and gpt, with tools, and with a better and a worse answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import Message, blame, messages_of, source_of
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.records import Unusable, read_objects
from stillhouse.data.importers.values import first, metadata_of, rows_of, table_of, word
from stillhouse.data.items import Facts, Item, Kind, Source

__all__ = ["read_sharegpt"]

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "system": "system",
    "observation": "tool",
    "tool": "tool",
}
PAIR = ("chosen", "rejected")
KNOWN = ("conversations", "conversation", "system", "chosen", "rejected", "id")


def read_sharegpt(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The conversations of a file; the last turn is the answer where the assistant has it."""
    for record in read_objects(path, options, bad):
        try:
            yield _item(record.value, source_of(path, record))
        except Unusable as error:
            blame(bad, path, record, str(error))


def _item(row: Mapping[str, Any], source: Source) -> Item:
    turns = rows_of(first(row, "conversations", "conversation"))
    if not turns:
        raise Unusable(f'it has no "conversations" (its keys: {", ".join(list(row)[:6])})')
    messages = _messages(turns)
    if isinstance(row.get("system"), str) and row["system"]:
        messages = [{"role": "system", "content": row["system"]}, *messages]
    answer, rejected = (_messages([turn])[0] if turn else None for turn in (table_of(row.get(key)) for key in PAIR))
    if answer is None and messages[-1]["role"] == "assistant":
        answer = messages.pop()
    if not messages:
        raise Unusable("it holds an answer and nothing that was asked")
    metadata = metadata_of(None, {key: value for key, value in row.items() if key not in KNOWN})
    return Item(
        kind=Kind.PREFERENCE if rejected else Kind.CHAT,
        messages=tuple(messages),
        answer=answer,
        rejected=rejected,
        facts=Facts(conversation=word(row.get("id")), metadata=metadata),
        source=source,
    )


def _messages(turns: list[dict[str, Any]]) -> list[Message]:
    """Turns as messages; a call of a tool is named, so that its reply can say what it answers."""
    found: list[dict[str, Any]] = []
    for place, turn in enumerate(turns, 1):
        said, value = first(turn, "from", "role"), first(turn, "value", "content")
        if said == "function_call":
            found.append(_call(value, place))
            continue
        role = ROLES.get(str(said))
        if role is None:
            raise Unusable(f"turn {place} is from {str(said)[:40]!r}; known are {', '.join(ROLES)}, function_call")
        message: dict[str, Any] = {"role": role, "content": value if isinstance(value, str) else word(value) or ""}
        if role == "tool":
            message["tool_call_id"] = f"call_{place - 1}"
        found.append(message)
    return list(messages_of(found))


def _call(value: Any, place: int) -> dict[str, Any]:
    calls = rows_of(value) or [table_of(value)]
    if not all(call.get("name") for call in calls):
        raise Unusable(f"turn {place} is a function_call that names no function")
    made = [
        {
            "id": f"call_{place}" if number == 0 else f"call_{place}_{number}",
            "type": "function",
            "function": {"name": call["name"], "arguments": _arguments(call.get("arguments"))},
        }
        for number, call in enumerate(calls)
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def _arguments(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value if value is not None else {}).decode()
