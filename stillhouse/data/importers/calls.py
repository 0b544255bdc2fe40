"""Calls in whatever words a tool wrote them down: what was asked and what was answered, as OpenAI's messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.records import Record, Unusable
from stillhouse.data.importers.values import parsed, rows_of
from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.errors import BadRow

__all__ = ["ENDED", "Message", "answers_of", "asked_of", "blame", "call_items", "messages_of", "source_of"]

Message = Mapping[str, Any]
"""A message as OpenAI writes it."""

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
ENDED = ("stop", "tool_calls", "function_call", "end_turn", "stop_sequence", "tool_use", "STOP", "tool_call")
"""Why answers end that are whole."""
SAID = ("content", "tool_calls", "function_call", "refusal", "audio", "name", "role")
"""What of an answer counts."""
NAMES = {"human": "user", "ai": "assistant", "model": "assistant", "gpt": "assistant", "bot": "assistant"}
"""What others call the roles."""


def blame(bad: BadRows, path: Path, record: Record, reason: str) -> None:
    """Add a record to the bad rows of a file."""
    bad.add(BadRow(str(path), record.line, reason), record.raw)


def source_of(path: Path, record: Record, teacher: str | None = None) -> Source:
    """Where an item comes from: the name of its file, and its row there."""
    return Source(origin=path.name, row=record.number, teacher=teacher)


def call_items(asked: Any, answered: Any, facts: Facts, source: Source) -> Iterator[Item]:
    """The items of one call: one for each of its answers, or one without; raises Unusable."""
    messages, _ = asked_of(asked)
    if messages[-1]["role"] == "assistant" and not answers_of(answered):
        yield Item(Kind.CHAT, messages[:-1], messages[-1], facts=facts, source=source)
        return
    for message, ended in answers_of(answered) or [(None, None)]:
        told = facts
        if ended and ended not in ENDED:
            told = replace(facts, metadata={**facts.metadata, "finish_reason": ended})
        yield Item(Kind.CHAT, messages, message, facts=told, source=source)


def messages_of(value: Any) -> tuple[Message, ...]:
    """Messages, checked: each with a role and something said; raises Unusable."""
    if not isinstance(value, list) or not value:
        raise Unusable("its messages are not a list with at least one message")
    return tuple(_message(each, place) for place, each in enumerate(cast("list[Any]", value), 1))


def _message(value: Any, place: int) -> Message:
    if not isinstance(value, dict):
        raise Unusable(f"message {place} is not a JSON object")
    given = cast("dict[str, Any]", value)
    role: Any = given.get("role", given.get("type"))
    role = NAMES.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        shown = "has no role" if role is None else f"has the role {str(role)[:40]!r}"
        raise Unusable(f"message {place} {shown}; roles are {', '.join(ROLES)}")
    content: Any = given.get("content")
    if content is not None and not isinstance(content, str | list):
        raise Unusable(f"message {place} has a content that is neither a text nor a list of parts")
    if content is None and not any(given.get(key) for key in ("tool_calls", "function_call", "refusal", "audio")):
        raise Unusable(f"message {place} says nothing")
    rest = {key: each for key, each in given.items() if key != "role" and not (each is None and key != "content")}
    return {"role": role, **rest}


def asked_of(value: Any) -> tuple[tuple[Message, ...], Mapping[str, Any]]:
    """What was asked, of a request body, messages, one message or a bare text; and what else the request said.

    Understood are bodies of chat completions, of the Responses API and of Anthropic's messages, and plain prompts.
    """
    value = parsed(value)
    if isinstance(value, str) and value.strip():
        return ({"role": "user", "content": value},), {}
    if isinstance(value, list) and value:
        parts = cast("list[Any]", value)
        if all(isinstance(each, str) for each in parts):
            return ({"role": "user", "content": "\n".join(parts)},), {}
        return messages_of([_unnested(each) for each in parts]), {}
    if isinstance(value, dict):
        return _asked_body(cast("dict[str, Any]", value))
    raise Unusable("it does not say what was asked")


def _asked_body(body: dict[str, Any]) -> tuple[tuple[Message, ...], Mapping[str, Any]]:
    for key in ("messages", "input", "prompt", "contents", "question", "query"):
        if body.get(key):
            asked, _ = asked_of(body[key])
            rest = {name: each for name, each in body.items() if name not in (key, "system", "instructions")}
            return (*_system(body), *asked), rest
    if "role" in body:
        return messages_of([body]), {}
    if not body:
        raise Unusable("it does not say what was asked")
    return ({"role": "user", "content": orjson.dumps(body).decode()},), {}


def _system(body: dict[str, Any]) -> tuple[Message, ...]:
    said = body.get("system") or body.get("instructions")
    if isinstance(said, str):
        return ({"role": "system", "content": said},)
    return ({"role": "system", "content": cast("list[Any]", said)},) if isinstance(said, list) and said else ()


def _unnested(message: Any) -> Any:
    """A message of Gemini's or of LangChain's, as OpenAI has it."""
    if not isinstance(message, dict):
        return message
    given = cast("dict[str, Any]", message)
    if isinstance(given.get("parts"), list) and "content" not in given:
        return {"role": given.get("role", "user"), "content": _texts(given["parts"])}
    if given.get("type") in NAMES and "role" not in given:
        rest = {key: each for key, each in given.items() if key not in ("type", "data")}
        data = cast("dict[str, Any]", given["data"]) if isinstance(given.get("data"), dict) else {}
        return {"role": given["type"], "content": data.get("content"), **rest}
    return given


def answers_of(value: Any) -> list[tuple[Message, str | None]]:
    """What was answered, each with why it ended where that is said; none where nothing was.

    Understood are chat completions with all their choices, the Responses API, Anthropic's and Gemini's answers, one
    message or messages, of which the last counts, and bare texts.
    """
    value = parsed(value)
    if isinstance(value, str):
        return [({"role": "assistant", "content": value}, None)] if value.strip() else []
    if isinstance(value, list) and value:
        parts = cast("list[Any]", value)
        if all(isinstance(each, dict) and "type" in each and "role" not in each for each in parts):
            return [({"role": "assistant", "content": _texts(value)}, None)]
        return [(_assistant(parts[-1]), None)]
    return _answer_body(cast("dict[str, Any]", value)) if isinstance(value, dict) and value else []


def _answer_body(body: dict[str, Any]) -> list[tuple[Message, str | None]]:
    if isinstance(body.get("choices"), list):
        return [_choice(each) for each in rows_of(body["choices"])]
    if isinstance(body.get("candidates"), list):
        told = rows_of(body["candidates"])
        return [(_assistant(_unnested(each.get("content"))), each.get("finishReason")) for each in told]
    if isinstance(body.get("output"), list):
        told = [each for each in rows_of(body["output"]) if each.get("type") == "message"]
        return [(_assistant({"content": _texts(each.get("content"))}), None) for each in told[-1:]]
    for key in ("message", "completion", "answer", "text", "response", "output"):
        if isinstance(body.get(key), str | dict) and "role" not in body:
            return answers_of(body[key])
    if "content" in body or "tool_calls" in body:
        said = {**body, "content": _texts(body["content"])} if isinstance(body.get("content"), list) else body
        return [(_assistant({key: said[key] for key in SAID if key in said}), body.get("stop_reason"))]
    return [({"role": "assistant", "content": orjson.dumps(body).decode()}, None)]


def _choice(choice: dict[str, Any]) -> tuple[Message, str | None]:
    said = choice.get("message", {"content": choice.get("text")} if "text" in choice else None)
    return _assistant(said), choice.get("finish_reason")


def _assistant(value: Any) -> Message:
    if isinstance(value, str):
        return {"role": "assistant", "content": value}
    if not isinstance(value, dict):
        raise Unusable("its answer is not a message")
    given = cast("dict[str, Any]", value)
    answer = _message({**given, "role": given.get("role") or "assistant"}, 1)
    if answer["role"] != "assistant":
        raise Unusable(f"its answer is from the role {answer['role']!r}")
    return answer


def _texts(parts: Any) -> str:
    """The words of an answer in parts, such as Anthropic and the Responses API give."""
    return "".join(str(part["text"]) for part in rows_of(parts) if isinstance(part.get("text"), str))
