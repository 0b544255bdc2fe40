"""Values held against the schemas of the wire."""

from __future__ import annotations

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from stillhouse.wire.openapi import chat, evals, files, people, tuning
from stillhouse.wire.openapi.shapes import JSON, Operation, shared


def every_schema() -> dict[str, dict]:
    return {**shared(), **chat.schemas(), **files.schemas(), **evals.schemas(), **tuning.schemas(), **people.schemas()}


def mismatch(named: str | Operation, value: object) -> str | None:
    """What is wrong with a value by a schema's name, or with an operation's answer; None when it fits."""
    whole = DRAFT202012.create_resource({"components": {"schemas": every_schema()}})
    schema = {"$ref": f"#/components/schemas/{named}"} if isinstance(named, str) else named.answers[JSON]
    found = Draft202012Validator(
        {**schema, "components": {"schemas": every_schema()}}, registry=Registry().with_resource("", whole)
    )
    error = next(found.iter_errors(value), None)
    return None if error is None else f"{list(error.absolute_path)}: {error.message}"
