"""The JSON of stored completions: what a call wants kept, the form it is kept in, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import read_object

__all__ = [
    "OURS",
    "Keep",
    "read_keep",
    "read_metadata",
    "read_update",
    "stored_messages",
    "unkept",
    "unknown_completion",
    "write_answer",
    "write_deleted",
    "write_list",
    "write_messages",
    "write_stored",
]

PAIRS, KEY, VALUE = 16, 64, 512
"""At most so many pairs of metadata, characters of a key, characters of a value."""

TOTALS = ("prompt_tokens", "completion_tokens", "total_tokens")
ASKED = {
    "tool_choice": None,
    "seed": None,
    "top_p": 1.0,
    "temperature": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "tools": None,
    "response_format": None,
}
"""What a stored completion tells of its request, and what held where the request did not say."""
OURS = "x_stillhouse"
"""The field of a stored completion for what OpenAI's have not."""


@dataclass(frozen=True, slots=True)
class Keep:
    """A call that is to be kept: its JSON object, the metadata to find it by, and whether the caller asked for that."""

    request: Mapping[str, Any]
    metadata: Mapping[str, str]
    is_asked: bool = True

    @property
    def rest(self) -> bytes:
        """The request without what is done about it here: nobody else need keep it."""
        return orjson.dumps({name: value for name, value in self.request.items() if name not in ("store", "metadata")})


def read_keep(body: bytes, every: bool = False) -> Keep | None:
    """What is to be kept of a request: None unless its `store` is true, or `every` call is kept that does not say no.

    `body` is one that `read_call` has read. Raises WireError when a caller who asks for it gives wrong metadata; those
    of others are left out then.
    """
    if not every and b'"store"' not in body:
        return None
    request: dict[str, Any] = orjson.loads(body)
    store = request.get("store")
    if not isinstance(store, bool | None):
        raise WireError("Invalid type for 'store': expected a boolean.", "invalid_type", "store")
    if store:
        return Keep(request, read_metadata(request.get("metadata")))
    if store is False or not every:
        return None
    try:
        return Keep(request, read_metadata(request.get("metadata")), is_asked=False)
    except WireError:
        return Keep(request, {}, is_asked=False)


def unkept(body: bytes) -> bytes:
    """A request that is to be kept nowhere, as those of evals, which are no traffic."""
    return orjson.dumps({**orjson.loads(body), "store": False})


def read_metadata(value: object) -> dict[str, str]:
    """Up to 16 pairs of texts; null means none. Raises WireError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WireError("Invalid type for 'metadata': expected an object.", "invalid_type", "metadata")
    pairs = cast(dict[str, object], value)
    if len(pairs) > PAIRS:
        words = f"Invalid 'metadata': expected at most {PAIRS} pairs, but got {len(pairs)} instead."
        raise WireError(words, "object_above_max_properties", "metadata")
    for key, each in pairs.items():
        if not isinstance(each, str):
            raise WireError(f"Invalid type for 'metadata.{key}': expected a string.", "invalid_type", f"metadata.{key}")
        if len(key) > KEY or len(each) > VALUE:
            words = f"Invalid 'metadata.{key[:KEY]}': keys have at most {KEY} characters, values {VALUE}."
            raise WireError(words, "string_above_max_length", f"metadata.{key[:KEY]}")
    return cast(dict[str, str], pairs)


def read_update(body: bytes) -> dict[str, str]:
    """The new metadata in the body of an update, which may say nothing else; raises WireError."""
    update = read_object(body)
    if "metadata" not in update:
        raise WireError("Missing required parameter: 'metadata'.", "missing_required_parameter", "metadata")
    return read_metadata(update["metadata"])


def write_answer(
    told: Mapping[str, Any], request: Mapping[str, Any], request_id: str, ours: Mapping[str, Any] | None = None
) -> bytes:
    """The form in which an answer is kept, but for its metadata: what was told, and what was asked for.

    `ours` is what only this server knows about it, such as how long it took.
    """
    usage = cast(dict[str, Any], told["usage"]) if isinstance(told.get("usage"), dict) else None
    kept: dict[str, Any] = {
        "id": told["id"],
        "object": "chat.completion",
        "created": told.get("created"),
        "model": told.get("model"),
        "choices": [_choice(choice) for choice in told["choices"]],
        "usage": usage and {name: usage.get(name) for name in TOTALS},
        "request_id": request_id,
        "input_user": request.get("user"),
    }
    for name, value in ASKED.items():
        kept[name] = value if request.get(name) is None else request[name]
    for name, source in (("safety_identifier", request), ("service_tier", told), ("system_fingerprint", told)):
        if source.get(name) is not None:
            kept[name] = source[name]
    if ours:
        kept[OURS] = ours
    return orjson.dumps(kept)


def write_stored(answer: bytes, metadata: Mapping[str, str]) -> bytes:
    """The JSON of a stored completion, from the form it is kept in."""
    return orjson.dumps(_shown(answer, metadata))


def write_list(completions: Sequence[tuple[str, bytes, Mapping[str, str]]], has_more: bool) -> bytes:
    """The JSON of a page: ids, kept forms and metadata."""
    ids = [completion_id for completion_id, _, _ in completions]
    return _list(ids, [_shown(answer, metadata) for _, answer, metadata in completions], has_more)


def write_messages(messages: Sequence[Mapping[str, Any]], has_more: bool) -> bytes:
    """The JSON of a page of messages."""
    return _list([message["id"] for message in messages], messages, has_more)


def write_deleted(completion_id: str) -> bytes:
    """The JSON that says that a stored completion is gone."""
    return orjson.dumps({"id": completion_id, "object": "chat.completion.deleted", "deleted": True})


def stored_messages(completion_id: str, messages: bytes) -> list[dict[str, Any]]:
    """The messages that were asked, each with its id; of a content in parts also its text in one."""
    return [_message(f"{completion_id}-{index}", each) for index, each in enumerate(orjson.loads(messages))]


def unknown_completion(completion_id: str) -> WireError:
    """The error for a completion that is not stored here."""
    return WireError(f"Completion {completion_id} not found", "not_found", "completion_id", 404)


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    message: Mapping[str, Any] = choice.get("message") or {}
    kept: dict[str, Any] = {
        "content": message.get("content"),
        "role": message.get("role") or "assistant",
        "tool_calls": message.get("tool_calls"),
        "function_call": message.get("function_call"),
    }
    if message.get("refusal"):
        kept["refusal"] = message["refusal"]
    return {
        "index": choice.get("index", 0),
        "message": kept,
        "logprobs": choice.get("logprobs"),
        "finish_reason": choice.get("finish_reason"),
    }


def _shown(answer: bytes, metadata: Mapping[str, str]) -> object:
    return orjson.Fragment(answer[:-1] + b',"metadata":' + orjson.dumps(dict(metadata)) + b"}")


def _list(ids: Sequence[str], data: Sequence[object], has_more: bool) -> bytes:
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    return orjson.dumps({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more})


def _message(message_id: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    content: object = asked.get("content")
    parts = [_part(part) for part in cast(list[Any], content)] if isinstance(content, list) else None
    text = content if isinstance(content, str) else "".join(part["text"] or "" for part in parts or ())
    shown: dict[str, Any] = {"id": message_id, "role": asked["role"], "content": text, "name": asked.get("name")}
    more = {name: asked[name] for name in ("tool_calls", "tool_call_id", "function_call") if asked.get(name)}
    return {**shown, "content_parts": parts, **more}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: part.get(name) for name in ("text", "image_url", "input_audio", "file")}
    return {"type": part.get("type"), **told}
