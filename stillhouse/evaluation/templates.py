"""Templates: `{{item.x}}` and `{{sample.output_text}}` filled in from data, by paths alone and without expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import orjson

from stillhouse.errors import TemplateError
from stillhouse.wire.errors import WireError
from stillhouse.wire.prompts import Part, PromptMessage, chat_message, read_messages

__all__ = ["Step", "Variables", "fill", "fill_messages", "look_up", "places", "read_path", "refer_to_messages"]

Variables = Mapping[str, Any]
"""`item` and `sample`, each a JSON object; `sample` may be absent."""

Step = str | int
"""A field's name, or an index."""

NAMESPACES = ("item", "sample")
PLACE = re.compile(r"\{\{([^{}]*)\}\}")
STEP = re.compile(r"\.(?P<field>[^.\[\]{}|()]+)|\[(?P<index>\d{1,9})\]")
SHOWN = 60


def places(template: str) -> Iterator[tuple[Step, ...]]:
    """The paths in a template, in order; raises TemplateError at a place that holds no path."""
    for found in PLACE.finditer(template):
        yield read_path(found[1])


def read_path(text: str) -> tuple[Step, ...]:
    """The steps of `item.a[0].b` or `sample.x`, first the namespace; raises TemplateError when it is no such path."""
    path = text.strip()
    namespace = re.match(r"item|sample", path)
    steps: list[Step] = [namespace[0]] if namespace else []
    end = namespace.end() if namespace else 0
    while namespace and (step := STEP.match(path, end)):
        steps.append(int(step["index"]) if step["index"] is not None else step["field"].strip())
        end = step.end()
    if len(steps) < 2 or end < len(path) or "" in steps:
        raise TemplateError(
            f"'{{{{{_shown(text)}}}}}' is not a place to fill in: write item or sample, then fields after dots and "
            "indices in brackets, like {{item.answer}} or {{sample.output_tools[0].function.name}}."
        )
    return tuple(steps)


def look_up(path: Sequence[Step], variables: Variables) -> Any:
    """The JSON value at a path; raises TemplateError that names the path and the first step that is not there.

    The `arguments` of a tool call, a string of JSON, are walked into as what they say.
    """
    value: Any = variables
    for index, step in enumerate(path):
        if isinstance(value, str) and path[index - 1] == "arguments":
            value = _parsed(value)
        if isinstance(step, str) and isinstance(value, Mapping) and step in value:
            value = cast(Mapping[str, Any], value)[step]
        elif isinstance(step, int) and isinstance(value, list) and step < len(cast(list[Any], value)):
            value = cast(list[Any], value)[step]
        else:
            raise TemplateError(_missing(path, index, value))
    return value


def fill(template: str, variables: Variables) -> str:
    """A template with every place filled in, once: what is filled in is not read again.

    Strings are put in as they are, anything else as compact JSON. Raises TemplateError when a place holds no path,
    or names what is not there.
    """
    return PLACE.sub(lambda found: _written(look_up(read_path(found[1]), variables)), template)


def fill_messages(prompt: Sequence[PromptMessage], variables: Variables) -> list[dict[str, Any]]:
    """A prompt's messages filled in, as the messages of a chat call; raises TemplateError."""
    return [chat_message(message.role, [_filled(part, variables) for part in message.parts]) for message in prompt]


def refer_to_messages(reference: str, variables: Variables) -> list[dict[str, Any]]:
    """The conversation that lies at a path such as `item.input`; raises TemplateError when none does."""
    path = read_path(reference)
    try:
        return read_messages(look_up(path, variables), _name(path))
    except WireError as error:
        raise TemplateError(f"'{_name(path)}' holds no conversation: {error}") from error


def _filled(part: Part, variables: Variables) -> Part:
    return replace(part, text=fill(part.text, variables))


def _written(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError as error:
        raise TemplateError("A value is nested too deep to be filled in.") from error


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _missing(path: Sequence[Step], index: int, value: Any) -> str:
    """Which step of a path leads nowhere, and what is there instead."""
    name, parent = _name(path), _name(path[:index])
    if path[:2] == ("sample", "output_json") and index == 1:
        return f"There is no '{name}': the sample's text is not JSON."
    if index == 0:
        return f"There is no '{name}': no {path[0]} is given."
    match value:
        case dict():
            there = ", ".join([repr(key) for key in cast(dict[str, Any], value)])
            return f"There is no '{name}': '{parent}' has {('only ' + _shown(there)) if there else 'no fields'}."
        case list():
            return f"There is no '{name}': '{parent}' is an array of {len(cast(list[Any], value))}."
        case _:
            return f"There is no '{name}': '{parent}' is {_shown(_written(value))!r}, which has no parts."


def _name(path: Sequence[Step]) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return "".join(steps).removeprefix(".")


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
