"""LiteLLM's records: rows of its spend logs, and the standard payload that its callbacks write."""

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
from stillhouse.data.subjects import subject_of

__all__ = ["read_litellm"]

CALLS = ("completion", "text_completion", "responses", "anthropic_messages", "generate_content")
"""What calls that are answered in words are named; each has a sister that begins with `a`."""
REDACTED = "redacted-by-litellm"


def read_litellm(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The answered calls of a file; embeddings and the like, and calls that failed, are passed over and counted."""
    for record in read_rows(path, options, bad):
        for row in rows_of(record.value.get("data")) or [record.value]:
            try:
                yield from _calls(row, source_of(path, record), bad)
            except Unusable as error:
                blame(bad, path, record, str(error))


def _calls(row: Mapping[str, Any], source: Source, bad: BadRows) -> Iterator[Item]:
    row = table_of(row.get("standard_logging_object")) or row
    kind = word(first(row, "call_type"))
    if kind is not None and kind.removeprefix("a") not in {name.removeprefix("a") for name in CALLS}:
        bad.pass_over(f"call of type {kind}")
        return
    if first(row, "status") == "failure":
        bad.pass_over("call that failed")
        return
    request = table_of(row.get("proxy_server_request"))
    request = table_of(request.get("body")) or request
    asked, answered = first(row, "messages"), first(row, "response")
    asked = asked or (request if first(request, "messages", "input", "prompt") else None)
    if asked is None:
        raise Unusable("it has no messages: LiteLLM keeps them only with `store_prompts_in_spend_logs: true`")
    if REDACTED in (word(asked) or "")[:400] or REDACTED in (word(answered) or "")[:400]:
        raise Unusable("its words were taken out by LiteLLM (redacted-by-litellm)")
    model = word(first(row, "model_group", "model"))
    yield from call_items(asked, answered, _facts(row, request, model), replace(source, teacher=model))


def _facts(row: Mapping[str, Any], request: Mapping[str, Any], model: str | None) -> Facts:
    metadata = table_of(row.get("metadata"))
    parameters = {**table_of(row.get("model_parameters")), **request}
    named = {"user": word(first(row, "end_user")) or word(first(parameters, "user"))}
    own = table_of(first(metadata, "requester_metadata", "spend_logs_metadata"))
    more = {
        "id": first(row, "request_id", "id"),
        "served_by": first(row, "model"),
        "tools": first(parameters, "tools"),
        "team": first(row, "team_id"),
    }
    return Facts(
        model=model,
        created=seconds(first(row, "startTime", "start_time")),
        conversation=word(first(row, "session_id", "trace_id")),
        subject=subject_of({**metadata, **own}, named),
        tags=listed(first(row, "request_tags")),
        metadata=metadata_of(own, more),
    )
