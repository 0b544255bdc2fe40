"""The JSON of chat completions: a request read, an answer written whole or as server-sent events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import orjson

from stillhouse.chat import ChatCall, Choice, Completion, Message, TokenLogprob, Usage
from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import missing, read_object, shown, wrong_type
from stillhouse.wire.response_format import read_shape

__all__ = [
    "DONE",
    "NEVER",
    "read_call",
    "read_usage",
    "replace_model",
    "usage_fields",
    "write_completion",
    "write_event",
    "write_stream",
]

DONE = b"data: [DONE]\n\n"

ROLES = frozenset({"assistant", "developer", "function", "system", "tool", "user"})
ASKS_FOR_MORE = ("tools", "functions", "audio", "web_search_options")
NEVER = -9999.0
"""The log-probability that OpenAI writes for what is as good as impossible."""


def read_call(body: bytes) -> ChatCall:
    """The call in a request's body; raises WireError with the JSON path of what is wrong.

    Sampling options (`temperature`, `seed`, ...) are not read: a student's answer is its likeliest label.
    """
    request = read_object(body)
    model = _required(request, "model")
    if not isinstance(model, str):
        raise wrong_type("model", "a string", model)
    messages, beyond = _read_messages(_required(request, "messages"))
    stream, logprobs = _flag(request, "stream"), _flag(request, "logprobs")
    top_logprobs = _whole(request, "top_logprobs", low=0, high=20, default=0)
    if top_logprobs and not logprobs:
        raise WireError("'top_logprobs' is only allowed when 'logprobs' is true.", "invalid_value", "top_logprobs")
    return ChatCall(
        model=model,
        messages=messages,
        n=_whole(request, "n", low=1, high=128, default=1),
        stream=stream,
        include_usage=_include_usage(request, stream),
        logprobs=logprobs,
        top_logprobs=top_logprobs,
        beyond=_asks_for_more(request) or beyond,
        shape=read_shape(request.get("response_format")),
        body=body,
    )


def read_usage(answer: bytes) -> object:
    """The `usage` in a whole answer's JSON, None when there is none."""
    try:
        told = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    return cast(dict[str, Any], told).get("usage") if isinstance(told, dict) else None


def replace_model(body: bytes, model: str) -> bytes:
    """A request's body with another `model`, and all else as it was."""
    return orjson.dumps({**orjson.loads(body), "model": model})


def write_completion(completion: Completion, call: ChatCall, completion_id: str, created: int) -> bytes:
    """The JSON of a whole answer; `created` is in Unix seconds."""
    choices: list[dict[str, object]] = [
        {
            "index": index,
            "message": {"role": "assistant", "content": choice.text, "refusal": None, "annotations": []},
            "logprobs": _logprobs(choice.pieces) if call.logprobs else None,
            "finish_reason": choice.finish_reason,
        }
        for index, choice in enumerate(completion.choices)
    ]
    return orjson.dumps(
        {
            "id": completion_id,
            "object": "chat.completion",
            "created": created,
            "model": completion.model,
            "choices": choices,
            "usage": usage_fields(completion.usage),
        }
    )


def write_stream(completion: Completion, call: ChatCall, completion_id: str, created: int) -> Iterator[bytes]:
    """The server-sent events of an answer, in OpenAI's order: role, pieces, reason, usage, the end."""
    head: dict[str, object] = {
        "id": completion_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": completion.model,
    }
    unknown_yet = {"usage": None} if call.include_usage else {}
    for index, choice in enumerate(completion.choices):
        for step in _steps(index, choice, call.logprobs):
            yield write_event({**head, "choices": [step], **unknown_yet})
    if call.include_usage:
        yield write_event({**head, "choices": [], "usage": usage_fields(completion.usage)})
    yield DONE


def write_event(value: object) -> bytes:
    """One server-sent event; bytes are taken for JSON already written."""
    return b"data: " + (value if isinstance(value, bytes) else orjson.dumps(value)) + b"\n\n"


def _steps(index: int, choice: Choice, logprobs: bool) -> Iterator[dict[str, object]]:
    def step(delta: dict[str, object], pieces: Sequence[TokenLogprob]) -> dict[str, object]:
        told = _logprobs(pieces) if logprobs else None
        return {"index": index, "delta": delta, "logprobs": told, "finish_reason": None}

    yield step({"role": "assistant", "content": "", "refusal": None}, ())
    for piece in choice.pieces:
        yield step({"content": piece.token}, (piece,))
    yield {"index": index, "delta": {}, "logprobs": None, "finish_reason": choice.finish_reason}


def _logprobs(pieces: Sequence[TokenLogprob]) -> dict[str, object]:
    content = [
        {**_token(piece.token, piece.logprob), "top_logprobs": [_token(token, value) for token, value in piece.top]}
        for piece in pieces
    ]
    return {"content": content, "refusal": None}


def _token(token: str, logprob: float) -> dict[str, object]:
    return {"token": token, "logprob": max(logprob, NEVER), "bytes": list(token.encode())}


def usage_fields(usage: Usage) -> dict[str, object]:
    """What an answer cost, as clients read it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _read_messages(value: object) -> tuple[tuple[Message, ...], str | None]:
    if not isinstance(value, list):
        raise wrong_type("messages", "an array of objects", value)
    rows = cast(list[object], value)
    if not rows:
        raise WireError("'messages' is too short: at least one message is needed.", "empty_array", "messages")
    read = [_read_message(row, f"messages[{index}]") for index, row in enumerate(rows)]
    return tuple([message for message, _ in read]), next((beyond for _, beyond in read if beyond), None)


def _read_message(value: object, path: str) -> tuple[Message, str | None]:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)
    row = cast(dict[str, Any], value)
    role = _required(row, "role", f"{path}.role")
    if not isinstance(role, str) or role not in ROLES:
        supported = ", ".join(f"'{name}'" for name in sorted(ROLES))
        raise WireError(
            f"Invalid value: {shown(role)}. Supported values are: {supported}.", "invalid_value", f"{path}.role"
        )
    content = row.get("content")
    if isinstance(content, str):
        return Message(role, content), None
    if content is None and role in ("assistant", "function"):
        return Message(role, ""), None
    if not isinstance(content, list):
        raise wrong_type(f"{path}.content", "a string or an array of content parts", content)
    text, beyond = _read_parts(cast(list[object], content), f"{path}.content")
    return Message(role, text), beyond


def _read_parts(parts: Sequence[object], path: str) -> tuple[str, str | None]:
    words: list[str] = []
    beyond: str | None = None
    for index, part in enumerate(parts):
        if not isinstance(part, dict):
            raise wrong_type(f"{path}[{index}]", "an object", part)
        fields = cast(dict[str, Any], part)
        kind = _required(fields, "type", f"{path}[{index}].type")
        if kind not in ("text", "refusal"):
            beyond = beyond or f"{path}[{index}]"
            continue
        text = fields.get(kind)
        if not isinstance(text, str):
            raise wrong_type(f"{path}[{index}].{kind}", "a string", text)
        words.append(text)
    return "".join(words), beyond


def _asks_for_more(request: dict[str, Any]) -> str | None:
    for name in ASKS_FOR_MORE:
        if request.get(name) and not (name == "tools" and request.get("tool_choice") == "none"):
            return name
    return "modalities" if "audio" in (request.get("modalities") or ()) else None


def _include_usage(request: dict[str, Any], stream: bool) -> bool:
    options = request.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise wrong_type("stream_options", "an object", options)
    if not stream:
        raise WireError("'stream_options' is only allowed when 'stream' is true.", "invalid_value", "stream_options")
    return _flag(cast(dict[str, Any], options), "include_usage", "stream_options.include_usage")


def _required(fields: dict[str, Any], name: str, path: str | None = None) -> object:
    if fields.get(name) is None:
        raise missing(path or name)
    return fields[name]


def _flag(fields: dict[str, Any], name: str, path: str | None = None) -> bool:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong_type(path or name, "a boolean", value)


def _whole(fields: dict[str, Any], name: str, *, low: int, high: int, default: int) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, "an integer", value)
    if value < low:
        words = f"Invalid '{name}': expected a value >= {low}, but got {value} instead."
        raise WireError(words, "integer_below_min_value", name)
    if value > high:
        words = f"Invalid '{name}': expected a value <= {high}, but got {value} instead."
        raise WireError(words, "integer_above_max_value", name)
    return value
