"""Langfuse's exports: observations and traces, from the screen, the API or a bucket, as JSON, JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import blame, call_items, source_of
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.records import Unusable, read_rows
from stillhouse.data.importers.values import first, listed, metadata_of, rows_of, seconds, table_of, word
from stillhouse.data.items import Facts, Item, Source
from stillhouse.data.subjects import SUBJECT, subject_of

__all__ = ["read_langfuse"]

CALL = "GENERATION"
"""The type of an observation that is a call of a model."""
FAILED = "ERROR"


def read_langfuse(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The calls of an export: generations, and traces that come without their observations.

    Fields are understood in camelCase, as the screen and the API write them, and in snake_case, as in buckets.
    Other observations and calls that failed are passed over and counted.
    """
    for record in read_rows(path, options, bad):
        for row in _observations(record.value):
            try:
                yield from _calls(row, source_of(path, record), bad)
            except Unusable as error:
                blame(bad, path, record, str(error))


def _observations(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The observations of a trace or a page, with what their trace says; a row that is none of both alone."""
    if "data" in row and "input" not in row:
        return [each for inner in rows_of(row["data"]) for each in _observations(inner)]
    inner = rows_of(row.get("observations"))
    if not inner:
        return [row]
    trace = table_of(row.get("trace")) or row
    told = {
        "userId": first(trace, "userId", "user_id"),
        "sessionId": first(trace, "sessionId", "session_id"),
        "traceTags": first(trace, "tags"),
    }
    calls = [each for each in inner if each.get("type") == CALL]
    return [{**told, **each} for each in calls] or [trace]


def _calls(row: Mapping[str, Any], source: Source, bad: BadRows) -> Iterator[Item]:
    kind = first(row, "type")
    if kind is not None and kind != CALL:
        bad.pass_over(f"observation of type {kind}")
        return
    if first(row, "level") == FAILED:
        bad.pass_over("call that failed")
        return
    if first(row, "input") is None:
        raise Unusable("it has no input: export it with inputs and outputs")
    model = word(first(row, "model", "providedModelName", "provided_model_name", "modelName"))
    yield from call_items(_asked(row), row.get("output"), _facts(row, model), replace(source, teacher=model))


def _asked(row: Mapping[str, Any]) -> Any:
    """The input; the arguments by which decorated functions were called are looked into."""
    given = table_of(row["input"])
    inner = table_of(given.get("kwargs")) if set(given) == {"args", "kwargs"} else {}
    return inner or row["input"]


def _facts(row: Mapping[str, Any], model: str | None) -> Facts:
    metadata = table_of(row.get("metadata"))
    named = {"user": word(first(row, "userId", "user_id"))}
    more = {
        "trace": first(row, "traceId", "trace_id"),
        "name": first(row, "name"),
        "environment": first(row, "environment"),
        "prompt_name": first(row, "promptName", "prompt_name"),
        "tools": table_of(row.get("input")).get("tools"),
    }
    return Facts(
        model=model,
        created=seconds(first(row, "startTime", "start_time", "timestamp", "createdAt", "created_at")),
        conversation=word(first(row, "sessionId", "session_id")),
        subject=subject_of(metadata, named),
        tags=listed(first(row, "traceTags", "trace_tags", "tags")),
        metadata=metadata_of({key: value for key, value in metadata.items() if key != SUBJECT}, more),
    )
