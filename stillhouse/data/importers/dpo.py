"""Preference rows as TRL reads them: a prompt, the chosen answer and the rejected one, as texts or messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import Message, blame, messages_of, source_of
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.records import Unusable, read_objects
from stillhouse.data.importers.values import metadata_of
from stillhouse.data.items import Facts, Item, Kind, Source

__all__ = ["read_dpo"]


def read_dpo(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The pairs of a file; where no prompt is named, it is what both answers begin with."""
    for record in read_objects(path, options, bad):
        try:
            yield _item(record.value, source_of(path, record))
        except Unusable as error:
            blame(bad, path, record, str(error))


def _item(row: Mapping[str, Any], source: Source) -> Item:
    if "chosen" not in row or "rejected" not in row:
        raise Unusable(f'it lacks "chosen" or "rejected" (its keys: {", ".join(list(row)[:6])})')
    better, worse = (_messages(row[key], "assistant") for key in ("chosen", "rejected"))
    asked = _messages(row["prompt"], "user") if row.get("prompt") else ()
    for shared in zip(better, worse, strict=False):
        if shared[0] != shared[1] or row.get("prompt") or len(better) == 1:
            break
        asked, better, worse = (*asked, shared[0]), better[1:], worse[1:]
    if not asked or len(better) != 1 or len(worse) != 1:
        raise Unusable("it is not one prompt with one message of each answer")
    metadata = {key: value for key, value in row.items() if key not in ("prompt", "chosen", "rejected")}
    facts = Facts(metadata=metadata_of(None, metadata))
    return Item(Kind.PREFERENCE, asked, better[0], worse[0], facts=facts, source=source)


def _messages(value: Any, role: str) -> tuple[Message, ...]:
    return ({"role": role, "content": value},) if isinstance(value, str) and value else messages_of(value)
