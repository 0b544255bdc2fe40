"""Tables: what is known of each item in plain columns, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from stillhouse.data.exporters.out import Exported, new_file
from stillhouse.data.items import Item, text_of
from stillhouse.data.shelf import Shelf

__all__ = ["COLUMNS", "write_csv"]

COLUMNS = (
    *("id", "kind", "system", "text", "answer", "rejected", "label", "truth", "rationale"),
    *("model", "created", "language", "conversation", "subject", "grade", "split", "tags", "metadata", "messages"),
)
"""`messages` holds all of them as JSON where text and system do not say everything."""


def write_csv(items: Iterable[Item], out: Path, shelf: Shelf | None = None) -> Exported:
    """A row for each item; of files there is only what is said about them."""
    written = 0
    with new_file(out) as waiting, waiting.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for item in items:
            table.writerow(_row(item))
            written += 1
    return Exported(written)


def _row(item: Item) -> list[Any]:
    facts = item.facts
    system = text_of(item.messages[0]) if item.messages and item.messages[0]["role"] == "system" else ""
    plain = [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": item.text}]
    more = "" if list(item.messages) == plain or not item.messages else orjson.dumps(list(item.messages)).decode()
    grade = "" if facts.grade is None else facts.grade
    metadata = orjson.dumps(dict(facts.metadata)).decode() if facts.metadata else ""
    known = [item.id, item.kind.value, "" if more else system, item.text, _said(item.answer), _said(item.rejected)]
    about = [facts.model, facts.created, facts.language, facts.conversation, facts.subject, grade, facts.split]
    tags = orjson.dumps(list(facts.tags)).decode() if facts.tags else ""
    return [*known, item.label, item.truth, item.rationale, *about, tags, metadata, more]


def _said(message: Any) -> str:
    """An answer: its words, or all of it as JSON where it is more than words."""
    if message is None:
        return ""
    plain = set(message) == {"role", "content"} and isinstance(message["content"], str)
    return message["content"] if plain else orjson.dumps(message).decode()
