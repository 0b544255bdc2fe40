"""Alpaca's rows: instruction, input and output, with the turns before as history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stillhouse.data.exporters.openai import answer_of
from stillhouse.data.exporters.out import Exported, Unfit, write_lines
from stillhouse.data.items import Item, text_of
from stillhouse.data.shelf import Shelf

__all__ = ["write_alpaca"]


def write_alpaca(items: Iterable[Item], out: Path, shelf: Shelf | None = None) -> Exported:
    """A row for each item whose turns go by user and assistant, in words; others are left out and counted."""
    return write_lines(items, out, _row)


def _row(item: Item) -> Mapping[str, Any]:
    turns = list(item.messages)
    system = text_of(turns.pop(0)) if turns and turns[0]["role"] in ("system", "developer") else ""
    answer = answer_of(item)
    if item.media or any(_has_more(each) for each in (*turns, answer)):
        raise Unfit("it has tools, pictures or files, which these rows do not hold")
    roles = [each["role"] for each in turns]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise Unfit("its turns are not the user's and the assistant's in alternation")
    history = [[text_of(asked), text_of(said)] for asked, said in zip(turns[:-1:2], turns[1::2], strict=True)]
    row: dict[str, Any] = {"instruction": text_of(turns[-1]), "input": "", "output": text_of(answer)}
    if item.rejected is not None:
        row = {**row, "output": "", "chosen": text_of(answer), "rejected": text_of(item.rejected)}
    return {**row, **({"system": system} if system else {}), **({"history": history} if history else {})}


def _has_more(message: Mapping[str, Any]) -> bool:
    return not isinstance(message.get("content"), str) or bool(message.get("tool_calls"))
