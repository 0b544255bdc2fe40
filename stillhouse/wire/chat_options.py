"""What a chat call says beyond its words: how tokens are drawn, where an answer ends, its JSON form, and tools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson

from stillhouse.chat import ChatCall
from stillhouse.wire.errors import Unsupported, WireError
from stillhouse.wire.fields import Fields, missing, one_of, read_body, wrong_type, wrong_value

__all__ = ["ChatOptions", "Drawing", "Toolbox", "read_options"]

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_STOPS, MOST_TOOLS = 4, 128
BEYOND = ("functions", "audio", "web_search_options")
SEEDS = 1 << 63

Turn = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the next token is chosen."""

    temperature: float = 1.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The functions that an answer may call."""

    functions: tuple[Mapping[str, Any], ...]
    """As they came: `{"type": "function", "function": {"name": ..., "parameters": ...}}`."""
    must: bool = False
    """An answer is a call."""
    several: bool = True
    """An answer may be more than one call."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset([tool["function"]["name"] for tool in self.functions])


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """A call as a model that writes needs it."""

    turns: tuple[Turn, ...]
    """The messages as chat templates take them: text joined, arguments of calls as objects."""
    drawing: Drawing = field(default_factory=Drawing)
    stop: tuple[str, ...] = ()
    most_tokens: int | None = None
    tools: Toolbox | None = None
    schema: Mapping[str, Any] | None = None
    """The JSON Schema of the answer; None: any text."""
    effort: str | None = None
    """How much a model that thinks is to think."""


def read_options(call: ChatCall) -> ChatOptions:
    """What a call asks for; raises WireError with the JSON path of what is wrong, or is not done here."""
    if not call.body:
        return ChatOptions(tuple([{"role": _role(turn.role), "content": turn.content} for turn in call.messages]))
    fields = read_body(call.body)
    for name in BEYOND:
        if fields.get(name):
            raise Unsupported(f"'{name}' is not supported by this model.", name)
    if "audio" in (fields.get("modalities") or ()):
        raise Unsupported("This model answers with words: 'modalities' may only be [\"text\"].", "modalities")
    most = "max_tokens" if fields.get("max_completion_tokens") is None else "max_completion_tokens"
    effort = fields.get("reasoning_effort")
    return ChatOptions(
        turns=tuple([_read_turn(Fields(turn, path)) for turn, path in fields.items("messages", fewest=1)]),
        drawing=_read_drawing(fields),
        stop=_read_stop(fields),
        most_tokens=fields.whole(most, low=1),
        tools=_read_tools(fields),
        schema=_read_schema(fields),
        effort=None if effort is None else one_of(effort, EFFORTS, "reasoning_effort"),
    )


def _read_drawing(fields: Fields) -> Drawing:
    temperature, top_p = fields.number("temperature", low=0, high=2), fields.number("top_p", low=0, high=1)
    return Drawing(
        temperature=1.0 if temperature is None else temperature,
        top_p=1.0 if top_p is None else top_p,
        presence_penalty=fields.number("presence_penalty", low=-2, high=2) or 0.0,
        frequency_penalty=fields.number("frequency_penalty", low=-2, high=2) or 0.0,
        logit_bias=_read_bias(fields.inner_or_empty("logit_bias")),
        seed=fields.whole("seed", low=-SEEDS, high=SEEDS - 1),
    )


def _read_bias(fields: Fields) -> dict[int, float]:
    found: dict[int, float] = {}
    for name in fields.values:
        if not (name.isascii() and name.isdigit()):
            raise wrong_value(fields.at(name), "the keys of 'logit_bias' are ids of tokens")
        found[int(name)] = fields.number(name, low=-100, high=100) or 0.0
    return found


def _read_stop(fields: Fields) -> tuple[str, ...]:
    value = fields.get("stop")
    if value is None:
        return ()
    stops = (value,) if isinstance(value, str) else fields.texts("stop")
    if len(stops) > MOST_STOPS:
        words = f"Invalid 'stop': expected at most {MOST_STOPS} elements, but got {len(stops)}."
        raise WireError(words, "array_above_max_length", "stop")
    if "" in stops:
        raise wrong_value("stop", "an empty string ends every answer before it begins")
    return stops


def _read_schema(fields: Fields) -> Mapping[str, Any] | None:
    if fields.get("response_format") is None:
        return None
    asked = fields.inner("response_format")
    match asked.choice("type", ("text", "json_object", "json_schema")):
        case "text":
            return None
        case "json_object":
            return {"type": "object"}
        case _:
            told = asked.inner("json_schema")
            _read_name(told)
            return {"type": "object"} if told.get("schema") is None else told.inner("schema").values


def _read_name(fields: Fields) -> str:
    name = fields.text("name")
    if not NAME.fullmatch(name):
        raise wrong_value(fields.at("name"), "a name has at most 64 of the characters a-z, A-Z, 0-9, _ and -")
    return name


def _read_tools(fields: Fields) -> Toolbox | None:
    """The functions that may be called; None where none may."""
    given = fields.items("tools") if fields.get("tools") is not None else []
    if len(given) > MOST_TOOLS:
        words = f"Invalid 'tools': expected at most {MOST_TOOLS} elements, but got {len(given)}."
        raise WireError(words, "array_above_max_length", "tools")
    tools = dict([_read_tool(Fields(tool, path)) for tool, path in given])
    must, names = _read_choice(fields, tools)
    parallel = fields.get("parallel_tool_calls")
    several = fields.flag("parallel_tool_calls") if parallel is not None else True
    functions = tuple([tools[name] for name in tools if name in names])
    return Toolbox(functions, must, several) if functions else None


def _read_tool(tool: Fields) -> tuple[str, Mapping[str, Any]]:
    if tool.choice("type", ("function", "custom")) == "custom":
        raise Unsupported("Custom tools are not supported by this model: describe a function.", tool.at("type"))
    function = tool.inner("function")
    name = _read_name(function)
    function.inner_or_empty("parameters")
    function.text_or_none("description")
    return name, tool.values


def _read_choice(fields: Fields, tools: Mapping[str, Any]) -> tuple[bool, frozenset[str]]:
    """Whether a call must be made, and which functions may be called."""
    choice = fields.get("tool_choice")
    if choice is None or isinstance(choice, str):
        named = choice or "auto"
        one_of(named, ("none", "auto", "required"), "tool_choice")
        if named == "required" and not tools:
            raise missing("tools")
        return named == "required", frozenset() if named == "none" else frozenset(tools)
    told = fields.inner("tool_choice")
    if told.choice("type", ("function", "allowed_tools", "custom")) == "function":
        return True, frozenset([_known(told.inner("function"), tools)])
    if told.get("type") == "custom":
        raise Unsupported("Custom tools are not supported by this model.", told.at("type"))
    allowed = told.inner("allowed_tools")
    must = allowed.choice("mode", ("auto", "required")) == "required"
    names = [_known(Fields(tool, path).inner("function"), tools) for tool, path in allowed.items("tools", fewest=1)]
    return must, frozenset(names)


def _known(function: Fields, tools: Mapping[str, Any]) -> str:
    name = function.text("name")
    if name not in tools:
        raise wrong_value(function.at("name"), f"there is no function {name!r} in 'tools'")
    return name


def _role(role: str) -> str:
    return "system" if role == "developer" else role


def _read_turn(fields: Fields) -> Turn:
    """A message as chat templates take it."""
    role = fields.choice("role", ROLES)
    turn: dict[str, Any] = {"role": _role(role), "content": _read_content(fields, role)}
    if fields.get("name") is not None:
        turn["name"] = fields.text("name")
    if role == "tool":
        turn["tool_call_id"] = fields.text("tool_call_id")
    if role == "assistant" and fields.get("tool_calls") is not None:
        turn["tool_calls"] = [_read_call(Fields(call, path)) for call, path in fields.items("tool_calls")]
    return turn


def _read_content(fields: Fields, role: str) -> str:
    content = fields.get("content")
    if isinstance(content, str):
        return content
    if content is None and role in ("assistant", "function"):
        return ""
    if not isinstance(content, list):
        raise (
            missing(fields.at("content"))
            if content is None
            else wrong_type(fields.at("content"), "a string or an array of content parts", cast(object, content))
        )
    return "".join([_read_part(Fields(part, path)) for part, path in fields.items("content")])


def _read_part(part: Fields) -> str:
    kind = cast(Literal["text", "refusal"], part.text("type"))
    if kind not in ("text", "refusal"):
        raise Unsupported(f"This model reads text only: a part of type '{kind}' is not supported.", part.at("type"))
    return part.text(kind)


def _read_call(call: Fields) -> dict[str, Any]:
    function = call.inner("function")
    told = function.text("arguments")
    try:
        arguments: object = orjson.loads(told or "{}")
    except orjson.JSONDecodeError as error:
        raise wrong_value(function.at("arguments"), f"it is not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise wrong_value(function.at("arguments"), "the arguments of a call are a JSON object")
    return {
        "id": call.text_or_none("id") or "",
        "type": "function",
        "function": {"name": function.text("name"), "arguments": cast(dict[str, Any], arguments)},
    }
