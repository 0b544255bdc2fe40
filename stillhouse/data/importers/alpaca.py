"""Alpaca's rows: an instruction, perhaps with an input, the output, and what was said before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import Message, blame, source_of
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.records import Unusable, read_objects
from stillhouse.data.importers.values import metadata_of
from stillhouse.data.items import Facts, Item, Kind, Source

__all__ = ["read_alpaca"]

KNOWN = ("instruction", "input", "output", "system", "history", "chosen", "rejected")


def read_alpaca(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The rows of a file; the input stands below its instruction, an empty line between them."""
    for record in read_objects(path, options, bad):
        try:
            yield _item(record.value, source_of(path, record))
        except Unusable as error:
            blame(bad, path, record, str(error))


def _item(row: Mapping[str, Any], source: Source) -> Item:
    asked = "\n\n".join(part for part in (_text(row, "instruction"), _text(row, "input")) if part)
    if not asked:
        raise Unusable(f"it has neither an instruction nor an input (its keys: {', '.join(list(row)[:6])})")
    messages: list[Message] = []
    if _text(row, "system"):
        messages.append({"role": "system", "content": _text(row, "system")})
    history: list[Any] = row.get("history") or []
    for turn in history:
        match turn:
            case [str(), str()]:
                pass
            case _:
                raise Unusable('its "history" is not a list of pairs of texts')
        messages += [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1]}]
    messages.append({"role": "user", "content": asked})
    answer, worse = _text(row, "output") or _text(row, "chosen"), _text(row, "rejected")
    return Item(
        kind=Kind.PREFERENCE if worse else Kind.CHAT,
        messages=tuple(messages),
        answer=_answer(answer),
        rejected=_answer(worse),
        facts=Facts(metadata=metadata_of(None, {key: value for key, value in row.items() if key not in KNOWN})),
        source=source,
    )


def _answer(text: str) -> Message | None:
    return {"role": "assistant", "content": text} if text else None


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise Unusable(f'its "{key}" is not a text')
    return value or ""
