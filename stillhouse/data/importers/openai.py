"""OpenAI's files: fine-tuning rows with tools, preferences, stored completions, batches, prompts with completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import ENDED, Message, answers_of, asked_of, blame, messages_of, source_of
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.records import Unusable, read_objects
from stillhouse.data.importers.values import listed, metadata_of, rows_of, seconds, table_of, word
from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.data.subjects import SUBJECT, subject_of
from stillhouse.errors import StillhouseError
from stillhouse.wire.exported import read_exported_completion

__all__ = ["facts_of", "read_openai"]

CONVERSATIONS = ("conversation_id", "session_id", "thread_id")
PAIRS = {"preferred_completion": "preferred_output", "non_preferred_completion": "non_preferred_output"}
"""What older descriptions called the two answers of a pair."""
CONTENT = (
    "messages",
    "input",
    "choices",
    "preferred_output",
    "non_preferred_output",
    "prompt",
    "completion",
    "label",
    "truth",
    "rationale",
)
FACTS = (
    "model",
    "teacher",
    "created",
    "language",
    "grade",
    "split",
    "tags",
    "metadata",
    "user",
    "safety_identifier",
    "input_user",
)
SKIPPED = ("id", "object", "request", "request_id", "system_fingerprint", "service_tier", "usage", "input_user")
"""What a stored completion says that means nothing away from where it was stored."""
OURS = "x_"
"""Keys that begin so are ours in fine-tuning files; they are read with or without it."""


def read_openai(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The rows of a file that OpenAI's fine-tuning, stored completions or batches would know."""
    for record in read_objects(path, options, bad):
        for row in rows_of(record.value.get("data")) or [record.value]:  # a page of a list
            try:
                yield from _items(row, source_of(path, record, _teacher(row)))
            except Unusable as error:
                blame(bad, path, record, str(error))


def _teacher(row: Mapping[str, Any]) -> str | None:
    """Who answered, where a row says it beside its model."""
    return word(row.get("teacher") or row.get(f"{OURS}teacher"))


def _items(row: Mapping[str, Any], source: Source) -> Iterator[Item]:
    row = {PAIRS.get(key, key): value for key, value in row.items()}
    if "choices" in row or row.get("object") == "chat.completion" or isinstance(row.get("completion"), dict):
        yield from _stored(row, source)
    elif "preferred_output" in row or "non_preferred_output" in row:
        yield _pair(row, source)
    elif "messages" in row:
        yield _fine_tuning(row, source)
    elif isinstance(row.get("prompt"), str):
        yield _prompt(row, source)
    elif "custom_id" in row and isinstance(row.get("body"), dict):
        messages, said = asked_of(row["body"])
        yield Item(
            Kind.CHAT, messages, facts=facts_of({**said, "metadata": {"custom_id": row["custom_id"]}}), source=source
        )
    else:
        keys = ", ".join(list(row)[:6]) or "none"
        raise Unusable(f'it has none of "messages", "choices", "preferred_output" and "prompt" (its keys: {keys})')


def _fine_tuning(row: Mapping[str, Any], source: Source) -> Item:
    messages = messages_of(row["messages"])
    answer = None
    if messages[-1]["role"] == "assistant":
        messages, answer = messages[:-1], messages[-1]
    if not messages:
        raise Unusable("it holds an answer and nothing that was asked")
    item = Item(Kind.CHAT, messages, answer, facts=facts_of(row), source=source)
    return _judged(item, row)


def _judged(item: Item, row: Mapping[str, Any]) -> Item:
    """With what some rows say beside: a label, the right answer, reasons; whether the answer was liked."""
    label, truth = row.get("label"), row.get("truth")
    if isinstance(label, bool):
        item = replace(item, facts=replace(item.facts, grade=float(label)))
    elif isinstance(label, str | int):
        item = replace(item, label=str(label))
    if truth is not None:
        item = replace(item, truth=word(truth))
    rationale = row.get("rationale")
    return replace(item, rationale=rationale) if isinstance(rationale, str) else item


def _pair(row: Mapping[str, Any], source: Source) -> Item:
    said = table_of(row.get("input"))
    if "messages" not in said:
        raise Unusable('its "input" has no "messages"')
    better, worse = (_one(row.get(key), key) for key in ("preferred_output", "non_preferred_output"))
    facts = facts_of({**{key: value for key, value in said.items() if key != "messages"}, **row})
    return Item(Kind.PREFERENCE, messages_of(said["messages"]), better, worse, facts=facts, source=source)


def _one(value: Any, key: str) -> Mapping[str, Any]:
    messages = messages_of(value) if isinstance(value, list) and value else ()
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise Unusable(f'its "{key}" is not exactly one message of the assistant')
    return messages[0]


def _prompt(row: Mapping[str, Any], source: Source) -> Item:
    completion = row.get("completion")
    if not row["prompt"].strip():
        raise Unusable('its "prompt" is empty')
    if completion is not None and not isinstance(completion, str):
        raise Unusable('its "completion" is not a text')
    answer = None if completion is None else {"role": "assistant", "content": completion}
    item = Item(Kind.CHAT, ({"role": "user", "content": row["prompt"]},), answer, facts=facts_of(row), source=source)
    return _judged(item, row)


def _stored(row: Mapping[str, Any], source: Source) -> Iterator[Item]:
    """A stored completion: an item for each of its choices, which share what was asked."""
    if "choices" not in row:
        inner = table_of(row.get("completion"))
        row = {**inner, "messages": row.get("messages") or inner.get("messages")}
    asked = row.get("messages") or row.get("input")
    if not asked:
        request = table_of(row.get("request"))
        row = {**request, **row}
        asked = request.get("messages") or request.get("input")
    if not asked:
        raise Unusable("it is a stored completion without what was asked: add the request's messages to it")
    if not isinstance(row.get("choices"), list):
        raise Unusable('its "choices" are no list')
    messages = _as_asked(row, asked)
    source = replace(source, teacher=source.teacher or word(row.get("model")))
    for message, ended in answers_of({"choices": row["choices"]}):
        cut = {"finish_reason": ended} if ended and ended not in ENDED else None
        yield _judged(Item(Kind.CHAT, messages, message, facts=facts_of(row, cut), source=source), row)


def _as_asked(row: Mapping[str, Any], asked: Any) -> tuple[Message, ...]:
    """The messages of a stored completion, also such as the hosted suite listed them."""
    if isinstance(asked, list) or not isinstance(row.get("created"), int):
        plain = all("content_parts" not in each for each in rows_of(asked))
        if plain:
            return asked_of(asked)[0]
    try:
        kept = read_exported_completion(orjson.dumps({**row, "messages": asked}))
    except StillhouseError as error:
        raise Unusable(str(error)) from error
    return messages_of(orjson.loads(kept.messages))


def facts_of(row: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> Facts:
    """What a row says of itself; keys that are not known go into its metadata, so that nothing is lost."""
    row = {key.removeprefix(OURS): value for key, value in row.items()}
    metadata = metadata_of(row.get("metadata"))
    conversation = next((str(place[key]) for place in (row, metadata) for key in CONVERSATIONS if place.get(key)), None)
    known = {*CONTENT, *FACTS, *CONVERSATIONS, *SKIPPED}
    rest = {key: value for key, value in row.items() if key not in known}
    subject = row.get("subject") if isinstance(row.get("subject"), str) else subject_of(metadata, row)
    return Facts(
        model=row["model"] if isinstance(row.get("model"), str) and row["model"] else None,
        created=seconds(row.get("created")),
        language=row["language"] if isinstance(row.get("language"), str) else None,
        conversation=str(row["conversation"]) if row.get("conversation") else conversation,
        subject=subject,
        grade=_grade(row.get("grade")),
        split=row["split"] if isinstance(row.get("split"), str) else None,
        tags=listed(row.get("tags")),
        metadata=metadata_of(
            {key: value for key, value in metadata.items() if key != SUBJECT}, {**rest, **(more or {})}
        ),
    )


def _grade(value: Any) -> float | None:
    """A grade; what is none is left out, as all that is of another kind than it should be."""
    if not isinstance(value, int | float):
        return None
    if not 0 <= value <= 1:
        raise Unusable(f"its grade is {value:g}; grades are from 0 to 1")
    return float(value)
