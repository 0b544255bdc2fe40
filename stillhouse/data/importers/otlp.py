"""OpenTelemetry: calls in OTLP/JSON, told by the GenAI conventions as attributes of spans, or as events and logs.

The conventions: opentelemetry.io/docs/specs/semconv/gen-ai; the encoding: opentelemetry.io/docs/specs/otlp.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import orjson

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.calls import ENDED, Message, blame, messages_of, source_of
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.records import Record, Unusable, read_objects
from stillhouse.data.importers.values import first, listed, metadata_of, parsed, rows_of, seconds, table_of, word
from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.data.subjects import subject_of
from stillhouse.errors import BadRow, TrafficError

__all__ = ["read_otlp"]

SPANS, LOGS = ("resourceSpans", "scopeSpans", "spans"), ("resourceLogs", "scopeLogs", "logRecords")
HELD = 200_000
"""Messages of logs that wait for the answer of their call; a file may come in any order."""
EVENT = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message$")
CHOICE = "gen_ai.choice"
NUMBERED = re.compile(
    r"(?:gen_ai|llm)\.(prompt|completion|input_messages|output_messages)\.(\d+)\.(?:message\.)?(\w+)$"
)
"""Messages spread over attributes, as OpenLLMetry and OpenInference do."""


@final
@dataclass(slots=True)
class _Call:
    """What is known of one call so far."""

    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    time: Any = None
    asked: list[Message] = field(default_factory=list[Message])
    answers: list[tuple[Message, str | None]] = field(default_factory=list[tuple[Message, str | None]])
    source: Source = field(default_factory=Source)


def read_otlp(path: Path, options: Options, bad: BadRows) -> Iterator[Item]:
    """The calls of a file of spans, logs or both; spans that are no calls, or hold no messages, are counted.

    Messages in log records are put together by trace and span, and come after all others.
    """
    calls: dict[tuple[str, str], _Call] = {}
    spans: dict[tuple[str, str], _Call] = {}
    for record in read_objects(path, options, bad):
        source = source_of(path, record)
        if not {"resourceSpans", "resourceLogs", "resource_spans", "resource_logs"} & set(record.value):
            keys = ", ".join(list(record.value)[:6])
            blame(bad, path, record, f"it has neither resourceSpans nor resourceLogs (its keys: {keys})")
        for span in _inner(record.value, *SPANS):
            try:
                yield from _span(span, source, spans, bad)
            except Unusable as error:
                blame(bad, path, _alone(record, span, SPANS), str(error))
        for log in _inner(record.value, *LOGS):
            try:
                _log(log, source, calls)
            except Unusable as error:
                blame(bad, path, _alone(record, log, LOGS), str(error))
        if len(calls) + len(spans) > HELD:
            raise TrafficError(f"{path} has more than {HELD:,} calls whose messages lie in logs. Split it by trace.")
    yield from _joined(calls, spans, path, bad)


def _joined(
    calls: Mapping[tuple[str, str], _Call], spans: dict[tuple[str, str], _Call], path: Path, bad: BadRows
) -> Iterator[Item]:
    """The calls whose messages lay in logs, with what their spans tell of them; spans without any are counted."""
    for key, call in calls.items():
        known = spans.pop(key, _Call())
        joined = replace(call, attributes={**known.attributes, **call.attributes}, time=known.time or call.time)
        try:
            yield from _items(joined)
        except Unusable as error:
            bad.add(BadRow(str(path), call.source.row, str(error)), orjson.dumps(joined.attributes))
    for _ in spans:
        bad.pass_over("call whose messages were not recorded")


def _alone(record: Record, each: Mapping[str, Any], names: Sequence[str]) -> Record:
    """An export request of one span or log record, as it is kept aside: the others of its line are sound."""
    value: Mapping[str, Any] = each
    for name in reversed(names):
        value = {name: [value]}
    return replace(record, raw=orjson.dumps(value))


def _inner(value: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
    """The spans or log records of an export request, out of their resources and scopes."""
    found: list[dict[str, Any]] = [dict(value)]
    for name in names:
        found = [each for outer in found for each in rows_of(outer.get(name, outer.get(_snake(name))))]
    return found


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda letter: f"_{letter[1].lower()}", name)


def _span(span: Mapping[str, Any], source: Source, spans: dict[tuple[str, str], _Call], bad: BadRows) -> Iterator[Item]:
    attributes = _attributes(span.get("attributes"))
    events = rows_of(span.get("events"))
    if not any(name.startswith(("gen_ai.", "llm.")) for name in attributes):
        bad.pass_over("span that is no call of a model")
        return
    if attributes.get("gen_ai.operation.name") in ("execute_tool", "create_agent", "embeddings", "retrieval"):
        bad.pass_over(f"span of {attributes['gen_ai.operation.name']}")
        return
    call = _Call(attributes, span.get("startTimeUnixNano", span.get("start_time_unix_nano")), source=source)
    _take_attributes(call, attributes)
    for event in events:
        told = _attributes(event.get("attributes"))
        if not _take_event(call, str(event.get("name", "")), told):
            _take_attributes(call, told)
    if call.asked:
        yield from _items(call)
    else:
        spans[_key(span)] = call


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    trace, span = (str(first(row, *names) or "") for names in (("traceId", "trace_id"), ("spanId", "span_id")))
    return trace, span


def _log(log: Mapping[str, Any], source: Source, calls: dict[tuple[str, str], _Call]) -> None:
    attributes = _attributes(log.get("attributes"))
    name = str(first(log, "eventName", "event_name") or attributes.get("event.name", ""))
    body = _value(log.get("body"))
    told = {**attributes, **(body if isinstance(body, dict) else {"content": body} if body else {})}
    call = calls.get(_key(log)) or _Call(time=first(log, "timeUnixNano", "observedTimeUnixNano"), source=source)
    if not _take_event(call, name, told):
        _take_attributes(call, told)
    if call.asked or call.answers:
        call.attributes.update({key: value for key, value in attributes.items() if key.startswith("gen_ai.")})
        calls[_key(log)] = call


def _take_event(call: _Call, name: str, told: Mapping[str, Any]) -> bool:
    """Take in an event of the older conventions, one message each; whether it was one."""
    spoken = EVENT.match(name)
    if spoken:
        content = first(told, "content", "gen_ai.event.content")
        inner = table_of(content) if "content" in table_of(content) else {}
        message = {"role": spoken[1], "content": content, **{key: told[key] for key in told if "." not in key}, **inner}
        call.asked.append(_plain(message))
        return True
    if name == CHOICE:
        said = table_of(told.get("message")) or {"content": first(told, "message", "content", "gen_ai.event.content")}
        extra = {key: parsed(told[key]) for key in ("tool_calls",) if told.get(key)}
        message = _plain({**said, **extra, "role": "assistant"})
        call.answers.append((message, word(told.get("finish_reason"))))
        return True
    return False


def _plain(message: Mapping[str, Any]) -> Message:
    """A message without what an event says of itself."""
    calls = [_tool_call(each) for each in rows_of(message.get("tool_calls"))]
    content = message.get("content")
    told: dict[str, Any] = {
        "role": message["role"],
        "content": content if isinstance(content, str | list) else word(content),
    }
    if calls:
        told["tool_calls"] = calls
    named = first(message, "tool_call_id", "id") if message["role"] == "tool" else None
    return messages_of([{**told, "tool_call_id": named} if named else told])[0]


def _take_attributes(call: _Call, told: Mapping[str, Any]) -> None:
    """Take in messages that are written as attributes, whole or spread."""
    system = first(told, "gen_ai.system_instructions")
    asked = first(told, "gen_ai.input.messages", "gen_ai.prompt", "input.messages")
    answered = first(told, "gen_ai.output.messages", "gen_ai.completion", "output.messages")
    if system is not None and not call.asked:
        call.asked.append({"role": "system", "content": _words(system)})
    if asked is not None:
        call.asked += _messages(asked, "user")
    if answered is not None:
        call.answers += [(message, ended) for message, ended in _answers(answered)]
    if asked is None and answered is None:
        _take_spread(call, told)


def _take_spread(call: _Call, told: Mapping[str, Any]) -> None:
    spread: dict[tuple[bool, int], dict[str, Any]] = {}
    for name, value in told.items():
        found = NUMBERED.match(name)
        if found:
            spread.setdefault((found[1] in ("completion", "output_messages"), int(found[2])), {})[found[3]] = value
    for (is_answer, _), message in sorted(spread.items()):
        role = "assistant" if is_answer else message.get("role", "user")
        made = _plain({**message, "role": role})
        if is_answer:
            call.answers.append((made, word(message.get("finish_reason"))))
        else:
            call.asked.append(made)


def _messages(value: Any, role: str) -> list[Message]:
    """Messages as the conventions write them, in parts, or as OpenAI does."""
    value = parsed(value)
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    return [each for message in rows_of(value) for each in _parted(message, role)]


def _answers(value: Any) -> Iterator[tuple[Message, str | None]]:
    value = parsed(value)
    for row in rows_of(value) or [{"content": word(value)}]:
        for message in _parted({"role": "assistant", **row}, "assistant"):
            yield message, word(row.get("finish_reason"))


def _parted(message: Mapping[str, Any], role: str) -> Iterator[Message]:
    """One message of the conventions as one of OpenAI's; answers of several tools become one each."""
    if "parts" not in message:
        yield _plain({"role": role, **message})
        return
    parts = rows_of(message["parts"])
    replies = [part for part in parts if part.get("type") == "tool_call_response"]
    for part in replies:
        said = first(part, "response", "result", "content")
        yield _plain({"role": "tool", "content": word(said) or "", "tool_call_id": part.get("id")})
    calls = [part for part in parts if part.get("type") == "tool_call"]
    text = _words(parts)
    if text or calls or not replies:
        yield _plain(
            {"role": message.get("role", role), "content": text or (None if calls else ""), "tool_calls": calls}
        )


def _words(value: Any) -> str:
    value = parsed(value)
    if isinstance(value, str):
        return value
    return "".join(
        str(part.get("content", part.get("text", ""))) for part in rows_of(value) if part.get("type", "text") == "text"
    )


def _tool_call(value: Mapping[str, Any]) -> dict[str, Any]:
    """A call of a tool as OpenAI writes it."""
    function = table_of(value.get("function")) or value
    arguments = function.get("arguments")
    told = {
        "name": function.get("name"),
        "arguments": arguments if isinstance(arguments, str) else word(arguments) or "{}",
    }
    return {"id": value.get("id") or "", "type": "function", "function": told}


def _items(call: _Call) -> Iterator[Item]:
    if not call.asked:
        return
    facts = _facts(call)
    source = replace(call.source, teacher=facts.model)
    for message, ended in call.answers or [(None, None)]:
        cut = {"finish_reason": ended} if ended and ended not in ENDED else {}
        told = replace(facts, metadata={**facts.metadata, **cut})
        yield Item(Kind.CHAT, tuple(call.asked), message, facts=told, source=source)


def _facts(call: _Call) -> Facts:
    told = call.attributes
    more = {
        "provider": first(told, "gen_ai.provider.name", "gen_ai.system"),
        "id": first(told, "gen_ai.response.id"),
        "tools": first(told, "gen_ai.tool.definitions"),
    }
    named = {"user": word(first(told, "enduser.id", "user.id", "enduser.pseudo.id"))}
    return Facts(
        model=word(first(told, "gen_ai.response.model", "gen_ai.request.model", "llm.model_name")),
        created=seconds(call.time),
        conversation=word(first(told, "gen_ai.conversation.id", "session.id")),
        subject=subject_of(table_of(told.get("metadata")), named),
        tags=listed(told.get("tag.tags")),
        metadata=metadata_of(None, more),
    )


def _attributes(value: Any) -> dict[str, Any]:
    """Attributes as plain values; also such as were written as one object already."""
    if isinstance(value, dict):
        return table_of(value)
    return {str(each.get("key")): _value(each.get("value")) for each in rows_of(value)}


def _value(value: Any) -> Any:
    """An `AnyValue` of OTLP as a plain value."""
    if not isinstance(value, dict):
        return value
    given = table_of(value)
    if "kvlistValue" in given:
        return _attributes(table_of(given["kvlistValue"]).get("values"))
    if "arrayValue" in given:
        return [_value(each) for each in rows_of(table_of(given["arrayValue"]).get("values"))]
    if "intValue" in given:
        return int(given["intValue"])
    if "bytesValue" in given:
        return base64.b64decode(str(given["bytesValue"])).decode("utf-8", "replace")
    known: list[Any] = [given[name] for name in ("stringValue", "boolValue", "doubleValue") if name in given]
    return known[0] if known else None
