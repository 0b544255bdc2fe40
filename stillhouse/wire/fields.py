"""Fields: the parts of a request's JSON, read one by one, with the JSON path of whatever is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast, final

import orjson

from stillhouse.wire.errors import WireError

__all__ = ["Fields", "missing", "one_of", "read_body", "read_object", "shown", "writable", "wrong_type", "wrong_value"]

MOST_PAIRS, LONGEST_KEY, LONGEST_VALUE = 16, 64, 512
"""OpenAI's bounds on metadata."""
DEEPEST = 200
"""How deep a request may be nested: what is deeper could not be written again, with what is put around it."""


@final
class Fields:
    """A JSON object that knows where in the request it lies; a null counts as absent.

    Every reader raises WireError with the path and the code that OpenAI's clients know. What is not asked for is
    not looked at.
    """

    def __init__(self, value: object, path: str = "") -> None:
        """`path` is empty for the body itself; raises WireError when `value` is no object."""
        if not isinstance(value, dict):
            raise wrong_type(path, "an object", value)
        self.values, self._path = cast(dict[str, Any], value), path

    def at(self, name: str) -> str:
        """The path of one of its fields."""
        return f"{self._path}.{name}" if self._path else name

    def get(self, name: str) -> Any:
        """What a field holds, None when it is absent."""
        return self.values.get(name)

    def need(self, name: str) -> Any:
        """What a field holds, that must be there."""
        value = self.values.get(name)
        if value is None:
            raise missing(self.at(name))
        return value

    def text(self, name: str, *, longest: int | None = None) -> str:
        """A string that must be there, of at most `longest` characters."""
        value = self.need(name)
        if not isinstance(value, str):
            raise wrong_type(self.at(name), "a string", value)
        if longest is not None and len(value) > longest:
            words = f"Invalid '{self.at(name)}': string too long. Expected at most {longest} characters, got"
            raise WireError(f"{words} {len(value)}.", "string_above_max_length", self.at(name))
        return value

    def text_or_none(self, name: str, *, longest: int | None = None) -> str | None:
        """A string, None when it is absent."""
        return None if self.get(name) is None else self.text(name, longest=longest)

    def choice(self, name: str, options: Sequence[str]) -> str:
        """One of some strings, that must be there."""
        return one_of(self.need(name), options, self.at(name))

    def flag(self, name: str) -> bool:
        """A boolean, False when it is absent."""
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise wrong_type(self.at(name), "a boolean", value)
        return bool(value)

    def number(self, name: str, *, low: float = -math.inf, high: float = math.inf) -> float | None:
        """A number within bounds, None when it is absent."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong_type(self.at(name), "a number", value)
        self._check_bounds(name, value, low, high, "decimal")
        return float(value)

    def whole(self, name: str, *, low: float = -math.inf, high: float = math.inf) -> int | None:
        """An integer within bounds, None when it is absent."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong_type(self.at(name), "an integer", value)
        self._check_bounds(name, value, low, high, "integer")
        return value

    def items(self, name: str, *, fewest: int = 0) -> list[tuple[Any, str]]:
        """The elements of an array that must be there, each with its path."""
        value = self.need(name)
        if not isinstance(value, list):
            raise wrong_type(self.at(name), "an array", value)
        elements = cast(list[Any], value)
        if len(elements) < fewest:
            words = f"Invalid '{self.at(name)}': expected at least {fewest} elements, but got {len(elements)}."
            raise WireError(words, "array_below_min_length", self.at(name))
        return [(element, f"{self.at(name)}[{index}]") for index, element in enumerate(elements)]

    def texts(self, name: str, *, fewest: int = 0) -> tuple[str, ...]:
        """The strings of an array that must be there."""
        read: list[str] = []
        for value, path in self.items(name, fewest=fewest):
            if not isinstance(value, str):
                raise wrong_type(path, "a string", value)
            read.append(value)
        return tuple(read)

    def inner(self, name: str) -> Fields:
        """An object that must be there."""
        return Fields(self.need(name), self.at(name))

    def inner_or_empty(self, name: str) -> Fields:
        """An object, one without fields when it is absent."""
        value = self.get(name)
        return Fields({} if value is None else value, self.at(name))

    def metadata(self, name: str = "metadata") -> Mapping[str, str]:
        """At most 16 pairs of strings, empty when absent."""
        pairs = self.inner_or_empty(name)
        if len(pairs.values) > MOST_PAIRS:
            words = f"Invalid '{self.at(name)}': expected at most {MOST_PAIRS} pairs, but got {len(pairs.values)}."
            raise WireError(words, "object_above_max_properties", self.at(name))
        for key in pairs.values:
            if len(key) > LONGEST_KEY:
                words = f"Invalid '{self.at(name)}': the key {key[:40]!r}... has more than {LONGEST_KEY} characters."
                raise WireError(words, "string_above_max_length", self.at(name))
        return {key: _pair(pairs, key) for key in pairs.values}

    def _check_bounds(self, name: str, value: float, low: float, high: float, kind: str) -> None:
        path = self.at(name)
        if value < low:
            words = f"Invalid '{path}': expected a value >= {low:g}, but got {value} instead."
            raise WireError(words, f"{kind}_below_min_value", path)
        if value > high:
            words = f"Invalid '{path}': expected a value <= {high:g}, but got {value} instead."
            raise WireError(words, f"{kind}_above_max_value", path)


def read_body(body: bytes) -> Fields:
    """The JSON object in a request's body; raises WireError when it is none."""
    return Fields(read_object(body))


def read_object(body: bytes) -> dict[str, Any]:
    """The same, as it came."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WireError(f"We could not parse the JSON body of your request: {error}.", None) from error
    if not isinstance(value, dict):
        raise wrong_type("", "an object", value)
    found = cast(dict[str, Any], value)
    if body.count(b"[") + body.count(b"{") > DEEPEST and _is_deep(found):
        raise WireError(f"The body of your request is nested more than {DEEPEST} deep.", "invalid_value")
    return found


def writable(fields: Fields) -> dict[str, Any]:
    """An object that can be written as JSON again, which one that is nested more than 254 deep cannot."""
    try:
        orjson.dumps(fields.values)
    except TypeError as error:
        raise wrong_value(fields.at("").removesuffix("."), "it is nested too deep") from error
    return fields.values


def one_of(value: object, options: Sequence[str], path: str) -> str:
    """A value that must be one of some strings."""
    if not isinstance(value, str) or value not in options:
        supported = ", ".join(f"'{option}'" for option in options)
        raise wrong_value(path, f"{shown(value)} is none of {supported}")
    return value


def missing(path: str) -> WireError:
    """The error for a field that must be there."""
    return WireError(f"Missing required parameter: '{path}'.", "missing_required_parameter", path)


def wrong_type(path: str, expected: str, value: object) -> WireError:
    """The error for a value of another type; `expected` completes "expected ..."."""
    where = f"for '{path}'" if path else "of the request's body"
    words = f"Invalid type {where}: expected {expected}, but got {shown(value)} instead."
    return WireError(words, "invalid_type", path or None)


def wrong_value(path: str, reason: str) -> WireError:
    """The error for a value that does not fit; `reason` completes "Invalid value for 'x': ..."."""
    return WireError(f"Invalid value for '{path}': {reason}.", "invalid_value", path)


def _is_deep(value: dict[str, Any]) -> bool:
    """Whether a value is nested deeper than is read; looked at level by level, as recursion would have an end."""
    level: list[dict[str, Any] | list[Any]] = [value]
    for _ in range(DEEPEST):
        inside: list[Any] = [one for each in level for one in (each.values() if isinstance(each, dict) else each)]
        level = [one for one in inside if isinstance(one, dict | list)]
        if not level:
            return False
    return True


def _pair(pairs: Fields, key: str) -> str:
    value = pairs.get(key)
    if not isinstance(value, str):
        raise wrong_type(pairs.at(key), "a string", value)
    if len(value) > LONGEST_VALUE:
        words = f"Invalid '{pairs.at(key)}': expected at most {LONGEST_VALUE} characters, but got {len(value)}."
        raise WireError(words, "string_above_max_length", pairs.at(key))
    return value


def shown(value: object) -> str:
    """A value in the words of an error: its JSON, at most 40 characters of it."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
