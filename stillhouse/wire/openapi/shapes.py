"""Shapes: JSON Schemas in few words, and Operation: what one route takes and what it answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "BYTES",
    "EVENTS",
    "FORM",
    "JSON",
    "Operation",
    "Schema",
    "array",
    "asked",
    "const",
    "deleted",
    "either",
    "flag",
    "number",
    "or_null",
    "page",
    "record",
    "ref",
    "shared",
    "text",
    "whole",
]

JSON, FORM, EVENTS, BYTES = (
    "application/json",
    "multipart/form-data",
    "text/event-stream",
    "application/octet-stream",
)
PAIRS, KEY, VALUE = 16, 64, 512
IDS = (
    "CompletionId",
    "FileId",
    "UploadId",
    "PartId",
    "EvalId",
    "RunId",
    "OutputItemId",
    "JobId",
    "FeedbackId",
    "ReviewId",
)

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of one path takes, and what it answers when all is well; refusals are told elsewhere."""

    name: str
    summary: str
    tag: str
    answers: Mapping[str, Schema]
    """By media type."""
    status: int = 200
    body: Schema | None = None
    """A JSON body."""
    form: Schema | None = None
    """A multipart body."""
    query: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    refusals: tuple[int, ...] = ()
    """Statuses of refusals beyond those of every route of its kind."""
    passes_on: bool = False
    """Whether an upstream's refusal may come back with the upstream's own status."""


def shared() -> dict[str, Schema]:
    """The schemas that every resource refers to."""
    an_id: Schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9_.:-]+$"}
    told = {"message": text(), "type": text(), "param": or_null(text()), "code": or_null(text())}
    pairs: Schema = {
        "type": "object",
        "maxProperties": PAIRS,
        "propertyNames": {"maxLength": KEY},
        "additionalProperties": text(longest=VALUE),
    }
    usage = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {
        **dict.fromkeys(IDS, an_id),
        "ModelName": {"type": "string", "minLength": 1},
        "Metadata": pairs,
        "JsonSchema": {"type": "object", "description": "A JSON Schema, read as draft 2020-12 unless it says more."},
        "Usage": record({name: whole(0) for name in usage}),
        "Error": record({"error": record(told)}),
    }


def text(options: Sequence[str] = (), longest: int | None = None) -> Schema:
    """A string, one of some, or of at most so many characters."""
    bounds: Schema = {} if longest is None else {"maxLength": longest}
    return {"type": "string", **({"enum": list(options)} if options else {}), **bounds}


def const(value: str | bool) -> Schema:
    """One value alone."""
    return {"const": value}


def whole(low: int | None = None, high: int | None = None) -> Schema:
    """An integer within bounds."""
    return {"type": "integer", **_bounds(low, high)}


def number(low: float | None = None, high: float | None = None) -> Schema:
    """A number within bounds."""
    return {"type": "number", **_bounds(low, high)}


def flag() -> Schema:
    """A boolean."""
    return {"type": "boolean"}


def array(items: Schema, fewest: int = 0, most: int | None = None) -> Schema:
    """An array of at least and at most so many elements."""
    bounds: Schema = {**({"minItems": fewest} if fewest else {}), **({} if most is None else {"maxItems": most})}
    return {"type": "array", "items": items, **bounds}


def record(fields: Mapping[str, Schema], optional: Collection[str] = ()) -> Schema:
    """An object as it is answered: each of its fields is there but for those that are optional."""
    needed = [name for name in fields if name not in optional]
    return {"type": "object", "properties": dict(fields), **({"required": needed} if needed else {})}


def asked(needed: Mapping[str, Schema], optional: Mapping[str, Schema]) -> Schema:
    """An object as it is sent: a null counts as absent, and what is not asked for is not looked at."""
    fields = {**needed, **{name: or_null(schema) for name, schema in optional.items()}}
    return {"type": "object", "properties": fields, **({"required": list(needed)} if needed else {})}


def either(*schemas: Schema) -> Schema:
    """What fits one of several."""
    return {"anyOf": list(schemas)}


def or_null(schema: Schema) -> Schema:
    """The same, or null."""
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    return either(schema, {"type": "null"})


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def page(name: str, ends: bool = True) -> Schema:
    """A page of a list, in most with the ids at its ends."""
    ids = {"first_id": or_null(text()), "last_id": or_null(text())} if ends else {}
    return record({"object": const("list"), "data": array(ref(name)), **ids, "has_more": flag()})


def deleted(kind: str, name: str = "id") -> Schema:
    """What tells that something is gone; `name` is the field of its id."""
    return record({name: text(), "object": const(kind), "deleted": const(True)})


def _bounds(low: float | None, high: float | None) -> Schema:
    return {**({} if low is None else {"minimum": low}), **({} if high is None else {"maximum": high})}
