"""ItemSchema: the JSON Schema of an eval's items, checked once and held against every row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast, final

import regex  # pyright: ignore[reportMissingTypeStubs]
from jsonschema import Draft202012Validator, SchemaError, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from stillhouse.wire.errors import Unsupported
from stillhouse.wire.fields import wrong_value

__all__ = ["ItemSchema"]

SECONDS = 0.2
"""How long one pattern may search in one string: patterns come from callers, and some never end."""


@final
class ItemSchema:
    """Validates items. References lead nowhere but into the schema itself, and formats are not checked.

    Without `$schema` it is read as draft 2020-12.
    """

    def __init__(self, schema: Mapping[str, Any], path: str) -> None:
        """`path` is where the schema lies in the request; raises WireError when it is no JSON Schema."""
        self.schema = schema
        found: Any = validators.validator_for(schema, default=Draft202012Validator)
        try:
            found.check_schema(schema)
            _check_patterns(schema, path)
        except SchemaError as error:
            raise wrong_value(path, f"it is no JSON Schema: {error.message}") from error
        except RecursionError as error:
            raise wrong_value(path, "it is nested too deep") from error
        kind: Any = cast(Any, validators).extend(found, {"pattern": _match})
        self._validator = kind(schema, registry=cast(Any, Registry)())

    def mismatch(self, item: object) -> str | None:
        """What is wrong with an item, and where; None when it fits."""
        try:
            error = next(iter(self._validator.iter_errors(item)), None)
        except Unresolvable as missing:
            return f"the schema refers to {missing.ref!r}, which is not in it"
        except TimeoutError:
            return "a pattern of the schema takes too long"
        except RecursionError:
            return "the schema or the item is nested too deep"
        if error is None:
            return None
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
        return f"item{place}: {_short(error.message)}"


def _match(validator: object, pattern: str, instance: object, schema: object) -> Iterator[ValidationError]:
    """The keyword `pattern`, with an end to the search; raises TimeoutError."""
    if isinstance(instance, str) and not cast(Any, regex).search(pattern, instance, timeout=SECONDS):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _check_patterns(schema: object, path: str) -> None:
    """Every pattern can be read; those of property names are refused, as nothing would end their search."""
    if isinstance(schema, list):
        for value in cast(list[object], schema):
            _check_patterns(value, path)
    if not isinstance(schema, dict):
        return
    fields = cast(dict[str, object], schema)
    if isinstance(fields.get("patternProperties"), dict):
        raise Unsupported("Item schemas with 'patternProperties' are not supported.", path)
    pattern = fields.get("pattern")
    if isinstance(pattern, str):
        try:
            cast(Any, regex).compile(pattern)
        except cast(Any, regex).error as error:
            raise wrong_value(path, f"the pattern {_short(pattern)!r} cannot be read: {error}") from error
    for value in fields.values():
        _check_patterns(value, path)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "..."
