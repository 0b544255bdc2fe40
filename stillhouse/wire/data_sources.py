"""The JSON of what eval runs read and sample: rows of data, where they come from, and what a model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import orjson

from stillhouse.wire.errors import Unsupported, WireError
from stillhouse.wire.fields import Fields, missing, writable, wrong_value
from stillhouse.wire.item_schema import ItemSchema
from stillhouse.wire.prompts import PromptMessage, echo_message, read_prompt
from stillhouse.wire.samples import Sample, Sampling, read_sample, read_sampling

__all__ = [
    "Asking",
    "DataSource",
    "FileContent",
    "FileId",
    "Row",
    "StoredCompletions",
    "read_data_source",
    "read_row",
    "read_row_line",
    "write_data_source",
]

KINDS = ("jsonl", "completions", "responses")
LARGEST = 2**53
"""Whole numbers up to which every JSON reader agrees."""
STORED_ITEM = "item.input"
"""Where the messages of a stored completion lie."""


@dataclass(frozen=True, slots=True)
class Row:
    """One item, and what was answered to it beforehand."""

    item: Mapping[str, Any]
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class FileContent:
    """Rows that came with the request."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class FileId:
    """An uploaded file of rows, one JSON object a line."""

    id: str


@dataclass(frozen=True, slots=True)
class StoredCompletions:
    """Stored completions that fit every filter; times are Unix seconds."""

    metadata: Mapping[str, str]
    model: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """How a run samples a model: a prompt to fill in, or the path of a conversation in the item."""

    model: str
    prompt: tuple[PromptMessage, ...] | str
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class DataSource:
    """What a run reads, and whom it asks; without `asking` it grades the answers that the rows bring."""

    kind: Literal["jsonl", "completions", "responses"]
    source: FileContent | FileId | StoredCompletions
    asking: Asking | None
    written: Mapping[str, Any]
    """As it came, for the echo."""


def read_data_source(value: object, path: str, schema: ItemSchema | None) -> DataSource:
    """A run's data source; raises WireError. Rows that came with the request must fit the schema."""
    fields = Fields(value, path)
    kind = cast(Literal["jsonl", "completions", "responses"], fields.choice("type", KINDS))
    source = _read_source(fields.inner("source"), kind, schema)
    asking = None if kind == "jsonl" else _read_asking(fields, stored=isinstance(source, StoredCompletions))
    return DataSource(kind, source, asking, fields.values)


def write_data_source(source: DataSource) -> dict[str, Any]:
    """A data source as it came, its prompt's messages with their type."""
    written = dict(source.written)
    if source.asking and not isinstance(source.asking.prompt, str):
        template = [echo_message(message) for message in source.asking.prompt]
        written["input_messages"] = {"type": "template", "template": template}
    return written


def read_row(value: object, path: str, schema: ItemSchema | None) -> Row:
    """One row, `{"item": {...}, "sample": {...}}`; raises WireError when it does not fit."""
    fields = Fields(value, path)
    item = writable(fields.inner("item"))
    wrong = schema.mismatch(item) if schema else None
    if wrong:
        raise wrong_value(fields.at("item"), f"it does not fit the eval's schema: {wrong.removesuffix('.')}")
    sample = fields.get("sample")
    if sample is None:
        return Row(item)
    return Row(item, read_sample(writable(Fields(sample, fields.at("sample"))), fields.at("sample")))


def read_row_line(line: bytes, number: int, schema: ItemSchema | None) -> Row:
    """One line of a file of rows, counted from 1; raises WireError."""
    try:
        value: object = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise WireError(f"Line {number} is not JSON: {error}.", "invalid_value", f"line {number}") from error
    return read_row(value, f"line {number}", schema)


def _read_source(fields: Fields, kind: str, schema: ItemSchema | None) -> FileContent | FileId | StoredCompletions:
    kinds = (
        "file_content",
        "file_id",
        *{"completions": ("stored_completions",), "responses": ("responses",)}.get(kind, ()),
    )
    match fields.choice("type", kinds):
        case "file_content":
            return FileContent(
                tuple([read_row(row, where, schema) for row, where in fields.items("content", fewest=1)])
            )
        case "file_id":
            return FileId(fields.text("id"))
        case "stored_completions":
            return StoredCompletions(
                metadata=fields.metadata(),
                model=fields.text_or_none("model"),
                created_after=fields.whole("created_after", low=0, high=LARGEST),
                created_before=fields.whole("created_before", low=0, high=LARGEST),
                limit=fields.whole("limit", low=1, high=LARGEST),
            )
        case _:
            raise Unsupported("Stored responses are not kept here: use stored completions.", fields.at("type"))


def _read_asking(fields: Fields, *, stored: bool) -> Asking | None:
    """Who is asked what; a model without messages is asked the conversations of stored completions."""
    model = fields.text_or_none("model")
    messages = fields.get("input_messages")
    if model is None and messages is None:
        return None
    if model is None:
        raise missing(fields.at("model"))
    if messages is None and not stored:
        raise missing(fields.at("input_messages"))
    prompt = STORED_ITEM if messages is None else _read_input(fields.inner("input_messages"))
    return Asking(model, prompt, _read_sampling(fields.inner_or_empty("sampling_params")))


def _read_input(fields: Fields) -> tuple[PromptMessage, ...] | str:
    if fields.choice("type", ("template", "item_reference")) == "template":
        return read_prompt(fields, "template")
    return fields.text("item_reference")


def _read_sampling(fields: Fields) -> Sampling:
    """Sampling options, those of the Responses API turned into those of chat."""
    sampling = read_sampling(fields)
    text = fields.inner_or_empty("text")
    told = text.inner_or_empty("format").values
    if told:
        sampling = replace(sampling, response_format=_chat_format(told))
    return replace(sampling, tools=tuple([_chat_tool(tool) for tool in sampling.tools]))


def _chat_format(told: Mapping[str, Any]) -> Mapping[str, Any]:
    if told.get("type") != "json_schema":
        return told
    inner = {key: value for key, value in told.items() if key != "type"}
    return {"type": "json_schema", "json_schema": inner}


def _chat_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool.get("type") != "function" or "function" in tool:
        return tool
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}
