"""Helicone's exports: requests with their responses, as JSON, JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import blame, call_items, source_of
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.records import Unusable, read_rows
from stillhouse.data.importers.values import first, metadata_of, rows_of, seconds, table_of, word
from stillhouse.data.items import Facts, Item, Source
from stillhouse.data.subjects import SUBJECT, subject_of

__all__ = ["read_helicone"]

SESSION = "Helicone-Session-Id"
FAILED = 400
"""The lowest status of a call that failed."""


def read_helicone(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The answered calls of an export; those that failed are passed over and counted."""
    for record in read_rows(path, options, bad):
        for row in rows_of(record.value.get("data")) or [record.value]:
            try:
                yield from _calls(row, source_of(path, record), bad)
            except Unusable as error:
                blame(bad, path, record, str(error))


def _calls(row: Mapping[str, Any], source: Source, bad: BadRows) -> Iterator[Item]:
    status = word(first(row, "response_status"))
    if status and status.lstrip("-").isdigit() and (int(status) >= FAILED or int(status) < 0):
        bad.pass_over("call that failed")
        return
    asked, answered = (_body(row.get(name)) for name in ("request_body", "response_body"))
    if not first(asked, "messages", "input", "prompt", "contents"):
        raise Unusable("it has no request body: export with --include-body")
    model = word(first(row, "response_model", "request_model", "model", "model_override") or asked.get("model"))
    yield from call_items(asked, answered, _facts(row, asked, model), replace(source, teacher=model))


def _body(value: Any) -> dict[str, Any]:
    """A body; that of the CSV export may have its quotes doubled once more than CSV asks for."""
    found = table_of(value)
    return found or (table_of(value.replace('""', '"')) if isinstance(value, str) else {})


def _facts(row: Mapping[str, Any], asked: Mapping[str, Any], model: str | None) -> Facts:
    properties = _body(first(row, "request_properties", "properties"))
    named = {"user": word(first(row, "request_user_id", "user_id")) or word(asked.get("user"))}
    more = {
        "id": first(row, "request_id", "response_id"),
        "tools": asked.get("tools"),
        "provider": first(row, "provider"),
    }
    return Facts(
        model=model,
        created=seconds(first(row, "request_created_at", "response_created_at")),
        conversation=word(properties.get(SESSION)),
        subject=subject_of(properties, named),
        metadata=metadata_of({key: value for key, value in properties.items() if key not in (SUBJECT, SESSION)}, more),
    )
