"""Columns: an item as the values of one row of Parquet, and back; readable by whoever reads Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from stillhouse.data.items import Facts, Item, Kind, Media, Method, Source

__all__ = ["COLUMNS", "READ", "from_row", "to_row"]

COLUMNS = {
    "row": "BIGINT",  # from 0, in the order of the version
    "id": "VARCHAR",
    "kind": "VARCHAR",
    "text": "VARCHAR",  # the words of the last message of the user
    "answer": "VARCHAR",  # the words of the answer
    "label": "VARCHAR",
    "truth": "VARCHAR",
    "rationale": "VARCHAR",
    "length": "INTEGER",  # letters of `text`
    "model": "VARCHAR",
    "created": "BIGINT",
    "language": "VARCHAR",
    "conversation": "VARCHAR",
    "subject": "VARCHAR",
    "grade": "DOUBLE",
    "split": "VARCHAR",
    "tags": "VARCHAR[]",
    "teacher": "VARCHAR",
    "method": "VARCHAR",
    "origin": "VARCHAR",
    "origin_row": "BIGINT",
    "parents": "VARCHAR[]",
    "metadata": "VARCHAR",  # this and those that follow are JSON
    "messages": "VARCHAR",
    "reply": "VARCHAR",
    "rejected": "VARCHAR",
    "soft": "VARCHAR",
    "media": "VARCHAR",
}
"""The columns of a version and their types, in order."""

READ = tuple(name for name in COLUMNS if name not in ("row", "id", "text", "answer", "length"))
"""The columns that an item is made of; the others are said in them already."""


def to_row(item: Item, row: int) -> tuple[Any, ...]:
    """The values of an item, in the order of `COLUMNS`."""
    facts, source = item.facts, item.source
    text = item.text
    return (
        row,
        item.id,
        item.kind.value,
        text,
        item.words if item.answer else None,
        item.label,
        item.truth,
        item.rationale,
        len(text),
        facts.model,
        facts.created,
        facts.language,
        facts.conversation,
        facts.subject,
        facts.grade,
        facts.split,
        list(facts.tags),
        source.teacher,
        source.method.value,
        source.origin,
        source.row,
        list(source.parents),
        _json(facts.metadata) if facts.metadata else None,
        _json(item.messages),
        _json(item.answer) if item.answer is not None else None,
        _json(item.rejected) if item.rejected is not None else None,
        _json(item.soft) if item.soft else None,
        _json([[each.digest, each.type, each.name, each.bytes] for each in item.media]) if item.media else None,
    )


def from_row(values: Sequence[Any]) -> Item:
    """The item of the values of `READ`."""
    kind, label, truth, rationale, model, created, language, conversation, subject, grade = values[:10]
    split, tags, teacher, method, origin, origin_row, parents = values[10:17]
    metadata, messages, reply, rejected, soft, media = values[17:]
    return Item(
        kind=Kind(kind),
        messages=tuple(orjson.loads(messages)),
        answer=_read(reply),
        rejected=_read(rejected),
        label=label,
        truth=truth,
        rationale=rationale,
        soft=_read(soft) or {},
        media=tuple(Media(*each) for each in _read(media) or ()),
        facts=Facts(
            model=model,
            created=created,
            language=language,
            conversation=conversation,
            subject=subject,
            grade=grade,
            split=split,
            tags=tuple(tags or ()),
            metadata=_read(metadata) or {},
        ),
        source=Source(Method(method), origin, origin_row, teacher, tuple(parents or ())),
    )


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _read(value: str | None) -> Any:
    return None if value is None else orjson.loads(value)
