"""TOML into frozen dataclasses: unknown keys are refused with the nearest known one, values by their types."""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from stillhouse.errors import UsageError

__all__ = ["fill", "read_toml"]

Section = TypeVar("Section")
_CALLED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
}


def read_toml(path: Path, called: str = "The recipe") -> dict[str, Any]:
    """The tables of a TOML file; raises UsageError saying where it is not TOML. `called` names it there."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{called} {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{called} {path} is not TOML: {error}.") from error


def fill(kind: type[Section], table: dict[str, Any], where: str) -> Section:
    """A frozen dataclass from a table; `where` names the table in errors.

    Fields may be int, float, bool, str, Path, a StrEnum, another dataclass (a table), a tuple of any of these
    (an array), a mapping of numbers or by names (a table), a union of them, or None (left out).
    Raises UsageError naming the key, what was seen and what is known.
    """
    known = {field.name: field for field in fields(cast("Any", kind)) if field.init}
    for key in table:
        if key not in known:
            raise UsageError(f"{where} sets {key!r}, which it does not know.{_hint(key, list(known))}")
    missing = [name for name, field in known.items() if name not in table and not _has_default(field)]
    if missing:
        raise UsageError(f"{where} lacks {missing[0]!r}. It knows {', '.join(sorted(known))}.")
    hints = get_type_hints(kind)
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in table.items()}
    try:
        return kind(**values)
    except UsageError as error:  # what the dataclass itself refuses
        raise UsageError(f"{where}: {error}") from error


def _value(kind: Any, value: Any, where: str) -> Any:
    """A TOML value as a field's type takes it."""
    if get_origin(kind) in (Union, types.UnionType):
        return _one_of([choice for choice in get_args(kind) if choice is not type(None)], value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise UsageError(f"{where} must be a list; it is {value!r}.")
        inner = get_args(kind)[0]
        return tuple(_value(inner, part, f"{where}[{at}]") for at, part in enumerate(cast("list[Any]", value)))
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise UsageError(f"{where} must be a table; it is {value!r}.")
        return fill(cast("type[Any]", kind), cast("dict[str, Any]", value), where)
    return _single(kind, value, where)


def _single(kind: Any, value: Any, where: str) -> Any:
    """A number, a text, a path, true or false, or one of an enum's words."""
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        words = [word.value for word in kind]
        if value not in words:
            raise UsageError(f"{where} = {value!r} is none of {', '.join(words)}.{_hint(str(value), words, '')}")
        return kind(value)
    if get_origin(kind) is Mapping:
        by, each = get_args(kind)
        return _numbers(value, where) if by is int else _named(each, value, where)
    if kind is dict or get_origin(kind) is dict:
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
        raise UsageError(f"{where} must be a table; it is {value!r}.")
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind in (int, bool, str) and type(value) is kind:
        return value
    raise UsageError(f"{where} = {value!r} must be {_CALLED.get(kind, str(kind))}.")


def _numbers(value: Any, where: str) -> dict[int, int]:
    """A table of whole numbers by whole numbers, such as a map of layers; TOML writes its keys as texts."""
    pairs: list[tuple[Any, Any]] = list(cast("dict[Any, Any]", value).items()) if isinstance(value, dict) else []
    if not pairs or any(not str(key).removeprefix("-").isdecimal() or type(number) is not int for key, number in pairs):
        raise UsageError(f'{where} must be a table of whole numbers, such as {{ "0" = 0, "2" = 5 }}; it is {value!r}.')
    return {int(key): number for key, number in pairs}


def _named(kind: Any, value: Any, where: str) -> dict[str, Any]:
    """A table whose keys are names that whoever writes it chooses."""
    if not isinstance(value, dict):
        raise UsageError(f"{where} must be a table; it is {value!r}.")
    return {name: _value(kind, each, f"{where}.{name}") for name, each in cast("dict[str, Any]", value).items()}


def _one_of(choices: list[Any], value: Any, where: str) -> Any:
    """The first of several types that takes a value."""
    trouble: UsageError | None = None
    for choice in choices:
        try:
            return _value(choice, value, where)
        except UsageError as error:
            trouble = trouble or error
    if trouble is not None and len(choices) == 1:
        raise trouble
    called = " or ".join("a list" if get_origin(kind) is tuple else _CALLED.get(kind, str(kind)) for kind in choices)
    raise UsageError(f"{where} = {value!r} must be {called}.")


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _hint(key: str, known: list[str], otherwise: str | None = None) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" It knows {', '.join(sorted(known))}." if otherwise is None else otherwise
