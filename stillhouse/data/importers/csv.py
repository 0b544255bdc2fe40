"""Tables: a row each of CSV or TSV, whose columns are known by their names or by what the user says they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import blame, messages_of, source_of
from stillhouse.data.importers.options import Options, columns_of
from stillhouse.data.importers.records import Unusable, read_rows
from stillhouse.data.importers.values import listed, metadata_of, parsed, seconds, word
from stillhouse.data.items import Facts, Item, Kind, Media, Source

__all__ = ["item_of", "read_csv"]

Message = Mapping[str, Any]


def read_csv(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The rows of a table, also one written as JSON objects; a row that says neither text nor messages is bad."""
    roles: dict[str, str] = {}
    columns: set[str] = set()
    for record in read_rows(path, options, bad):
        if not columns >= set(record.value):
            columns |= set(record.value)
            roles = columns_of(sorted(columns), options, path.name)
        try:
            yield item_of(record.value, roles, source_of(path, record))
        except Unusable as error:
            blame(bad, path, record, str(error))


def item_of(row: Mapping[str, Any], roles: Mapping[str, str], source: Source, media: Sequence[Media] = ()) -> Item:
    """The item of a row of a table, of which `roles` says which column is what; raises Unusable.

    Columns that are nothing of what an item has go into its metadata.
    """
    given = {role: row[name] for role, name in roles.items() if not _empty(row.get(name))}
    messages = _messages(given)
    answer, rejected = (_said(given.get(role)) for role in ("answer", "rejected"))
    if answer is None and messages and messages[-1]["role"] == "assistant":
        messages, answer = messages[:-1], messages[-1]
    label = word(given.get("label"))
    if not messages and not (media and (label or answer)):
        raise Unusable(_no_text(row, roles))
    metadata = {name: value for name, value in row.items() if name not in roles.values()}
    return Item(
        kind=_kind(bool(media), given),
        messages=messages,
        answer=answer,
        rejected=rejected,
        label=label,
        truth=word(given.get("truth")),
        rationale=word(given.get("rationale")),
        media=tuple(media),
        facts=_facts(given, metadata),
        source=source,
    )


def _no_text(row: Mapping[str, Any], roles: Mapping[str, str]) -> str:
    known = next((roles[role] for role in ("messages", "text") if role in roles), None)
    if known is not None:
        return f"its column {known!r} is empty"
    return f"none of its columns is known to be its text: {', '.join(list(row)[:8])} (--column text=NAME names it)"


def _kind(has_media: bool, given: Mapping[str, Any]) -> Kind:
    if has_media:
        return Kind.PAIRED if "text" in given or "answer" in given or "messages" in given else Kind.IMAGE
    if "rejected" in given:
        return Kind.PREFERENCE
    return Kind.CHAT if "answer" in given or "messages" in given else Kind.TEXT


def _messages(given: Mapping[str, Any]) -> tuple[Message, ...]:
    found: list[Message] = []
    if "system" in given:
        found.append({"role": "system", "content": str(given["system"])})
    if "messages" in given:
        found += messages_of(parsed(given["messages"]))
    elif "text" in given:
        text = given["text"]
        found += messages_of(text) if isinstance(text, list) else [{"role": "user", "content": str(text)}]
    return tuple(found) if len(found) > ("system" in given) else ()


def _said(value: Any) -> Message | None:
    """An answer: a text, a message, or messages of which the last is meant."""
    value = parsed(value)
    if isinstance(value, list):
        return messages_of(value)[-1]
    if isinstance(value, dict) and "role" in value:
        return messages_of([value])[0]
    return None if value is None else {"role": "assistant", "content": word(value)}


def _facts(given: Mapping[str, Any], metadata: Mapping[str, Any]) -> Facts:
    return Facts(
        model=word(given.get("model")),
        created=seconds(given.get("created")),
        language=word(given.get("language")),
        conversation=word(given.get("conversation")),
        subject=word(given.get("subject")),
        grade=_grade(given.get("grade")),
        split=word(given.get("split")),
        tags=listed(given.get("tags")),
        metadata=metadata_of(
            metadata.get("metadata"), {key: each for key, each in metadata.items() if key != "metadata"}
        ),
    )


def _grade(value: Any) -> float | None:
    if value is None:
        return None
    try:
        grade = float(value)
    except (TypeError, ValueError) as error:
        raise Unusable(f"its grade {str(value)[:40]!r} is not a number") from error
    if not 0 <= grade <= 1:
        raise Unusable(f"its grade is {grade:g}; grades are from 0 to 1")
    return grade


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and value != value)
