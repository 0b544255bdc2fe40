"""What JSON a caller wants: `response_format` read into a `Shape`, and labels compared with it by value."""

from __future__ import annotations

from typing import Any, cast

import orjson

from stillhouse.chat import Shape
from stillhouse.wire.errors import WireError

__all__ = ["json_text", "read_shape"]


def json_text(value: object) -> str:
    """A JSON value as text, the same for equal values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def read_shape(response_format: object) -> Shape | None:
    """The object that a request's `response_format` asks for, None when any text will do.

    Of a schema the properties are read, and the values of those that are enumerated (`enum`, `const`,
    or a reference to such a definition); raises WireError when it is not one of OpenAI's formats.
    """
    if response_format is None:
        return None
    asked = _mapping(response_format, "response_format")
    match asked.get("type"):
        case "text":
            return None
        case "json_object":
            return {}
        case "json_schema":
            schema = _mapping(asked.get("json_schema"), "response_format.json_schema").get("schema")
            return _read_schema(_mapping(schema or {}, "response_format.json_schema.schema"))
        case kind:
            raise WireError(
                f"Invalid value: {kind!r}. Supported values are: 'text', 'json_object', and 'json_schema'.",
                "invalid_value",
                "response_format.type",
            )


def _read_schema(schema: dict[str, Any]) -> Shape:
    path = "response_format.json_schema.schema"
    properties = _mapping(schema.get("properties") or {}, f"{path}.properties")
    definitions = _mapping(schema.get("$defs") or {}, f"{path}.$defs")
    return {name: _values(rule, definitions) for name, rule in properties.items()}


def _values(rule: object, definitions: dict[str, Any]) -> frozenset[str] | None:
    if not isinstance(rule, dict):
        return None
    fields = cast(dict[str, Any], rule)
    reference = fields.get("$ref")
    if isinstance(reference, str):
        fields = definitions.get(reference.removeprefix("#/$defs/"), {})
    if "const" in fields:
        return frozenset([json_text(fields["const"])])
    if isinstance(fields.get("enum"), list):
        return frozenset(json_text(value) for value in fields["enum"])
    return None


def _mapping(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WireError(f"Invalid type for '{path}': expected an object.", "invalid_type", path)
    return cast(dict[str, Any], value)
