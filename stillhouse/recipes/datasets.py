"""Datasets where a file of rows is asked for: `support@3` becomes JSON lines that every recipe reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson

from stillhouse.data.catalogue import Catalogue, Version
from stillhouse.data.items import Item
from stillhouse.data.versions import LINEAGE, is_reference, write_private
from stillhouse.errors import DataError
from stillhouse.generation.label import UNSURE
from stillhouse.storage.store import Store

__all__ = [
    "LABELLED",
    "PROJECT",
    "ROWS",
    "answered_by_label",
    "datasets_behind",
    "is_dataset",
    "note_use",
    "open_dataset",
    "row_of",
]

ROWS, LABELLED = "rows.jsonl", "labelled.jsonl"
"""The files of a version that recipes read: its rows, and these by their labels."""

PROJECT = "default"
"""Whose a version is that names no project."""


def is_dataset(path: Path) -> bool:
    """Whether a path names a version of a dataset, `support@3` or `project/support@3`, and no file is called so."""
    return len(path.parts) <= 2 and is_reference(path.name) and not path.exists()


async def open_dataset(path: Path, store: Store, home: Path, *, by_label: bool = False) -> Path:
    """The file with the rows of the version that a path names; made once. Raises UsageError and DataError.

    With `by_label` the answer of a row is its label, for students that sort.
    """
    project = path.parts[0] if len(path.parts) == 2 else PROJECT
    catalogue = Catalogue(store, home, project)
    version = await catalogue.find(path.name)
    rows, told = version.path.with_name(LABELLED if by_label else ROWS), version.path.with_name(LINEAGE)
    if not (rows.is_file() and told.is_file()):
        lineage = [_fact(each) for each in await catalogue.lineage(version)]
        about = {"project": project, "name": version.name, "number": version.number, "lineage": lineage}
        items = map(answered_by_label, catalogue.read(version)) if by_label else catalogue.read(version)
        write_private(rows, (orjson.dumps(row_of(item)) + b"\n" for item in items))
        write_private(told, [orjson.dumps(about, option=orjson.OPT_INDENT_2)])
    return rows


def datasets_behind(files: Iterable[Path | None]) -> dict[str, list[dict[str, Any]]]:
    """What to say of the datasets that files hold the rows of, where they do: their lineage, each itself first.

    It is empty, or has one key, so that it can be put beside what else a record says.
    """
    found = [_about(file) for file in files if file is not None]
    told = [{key: value for key, value in about.items() if key != "number"} for about in found if about is not None]
    return {"datasets": [{**each, "name": each["lineage"][0]["version"]} for each in told]} if told else {}


async def note_use(file: Path, kind: str, user: str, store: Store, home: Path) -> None:
    """Note that something learnt from the version whose rows a file holds; of another file nothing."""
    about = _about(file)
    if about is not None:
        catalogue = Catalogue(store, home, about["project"])
        await catalogue.used(await catalogue.find(f"{about['name']}@{about['number']}"), kind, user)


def answered_by_label(item: Item) -> Item:
    """The item with its label in the place of an answer that says something else, such as an earlier teacher's.

    An answer that is a JSON object with the label in it stays. Where a teacher was unsure of the label there is none.
    """
    if UNSURE in item.facts.tags and item.label is None:
        return replace(item, answer=None)
    if item.label is None or item.answer is None or item.label in _said(item.words):
        return item
    return replace(item, answer=None)


def _said(words: str) -> list[Any]:
    """What an answer says: its words, or the values of its JSON object."""
    try:
        found: Any = orjson.loads(words)
    except orjson.JSONDecodeError:
        found = None
    return list(cast("dict[str, Any]", found).values()) if isinstance(found, dict) else [words.strip()]


def row_of(item: Item) -> dict[str, Any]:
    """An item as a row: with `messages`, `text` and `label`, or the two answers of a preference; raises DataError.

    The answer is the last message; where there is none but a label, that is the answer, and the other way round.
    """
    if not item.messages or (item.media and not item.text):
        raise DataError(
            f"An item of the kind {item.kind.value} has no words to learn from: {item.source.origin or item.id}. "
            "Export pictures with `stillhouse data export`, and name that folder."
        )
    asked = [dict(message) for message in item.messages]
    known = {
        "truth": item.truth,
        "rationale": item.rationale,
        "conversation_id": item.facts.conversation,
        "teacher": item.source.teacher or item.facts.model,
    }
    row = {name: value for name, value in known.items() if value is not None}
    if item.rejected is not None and item.answer is not None:
        answers = {"preferred_output": [dict(item.answer)], "non_preferred_output": [dict(item.rejected)]}
        return {"input": {"messages": asked}, **answers, **row}
    answer = item.answer
    if answer is None and item.label is not None:
        answer = {"role": "assistant", "content": item.label}
    label = item.label if item.label is not None else item.words.strip() or None
    said = {"messages": [*asked, *([dict(answer)] if answer is not None else [])], "text": item.text}
    return {**said, **({} if label is None else {"label": label}), **row}


def _about(file: Path) -> dict[str, Any] | None:
    told = file.with_name(LINEAGE)
    if file.name not in (ROWS, LABELLED) or not told.is_file():
        return None
    return cast("dict[str, Any]", orjson.loads(told.read_bytes()))


def _fact(version: Version) -> Mapping[str, Any]:
    """What a record says of a version: no time, path or machine."""
    return {"version": version.reference, "sha256": version.hash, "items": version.items, **version.step.to_json()}
