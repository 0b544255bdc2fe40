"""What was exported from the hosted suite, object by object: stored completions and evals in the form kept here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from stillhouse.wire.errors import WireError
from stillhouse.wire.evals import Eval, restore_eval
from stillhouse.wire.fields import Fields, missing, read_body, wrong_type
from stillhouse.wire.stored_completions import OURS, read_metadata, write_answer

__all__ = ["ExportedCompletion", "read_exported_completion", "read_exported_eval"]


@dataclass(frozen=True, slots=True)
class ExportedCompletion:
    """A stored completion: `answer` and `messages` are JSON in the form kept here; `created` is in Unix seconds."""

    id: str
    created: int
    model: str
    metadata: Mapping[str, str]
    answer: bytes
    messages: bytes


def read_exported_completion(line: bytes) -> ExportedCompletion:
    """A stored completion with what was asked, as its `messages` (or `input`); raises WireError.

    Messages may be those of the request, or those that `chat.completions.messages.list` showed.
    """
    fields = read_body(line)
    if "completion" in fields.values and "choices" not in fields.values:
        inner = fields.inner("completion").values
        fields = Fields({**inner, "messages": fields.get("messages") or inner.get("messages")})
    for choice, path in fields.items("choices", fewest=1):
        Fields(choice, path).inner("message")
    created = fields.whole("created", low=0)
    if created is None:
        raise missing("created")
    told = fields.values
    request = {**told, "user": told.get("input_user")}
    answer = write_answer(
        {**told, "id": fields.text("id", longest=128), "model": fields.text("model")},
        request,
        fields.text_or_none("request_id") or "",
        fields.inner(OURS).values if fields.get(OURS) else None,
    )
    messages = orjson.dumps([_asked(message, path) for message, path in _messages(fields)])
    return ExportedCompletion(told["id"], created, told["model"], read_metadata(told.get("metadata")), answer, messages)


def read_exported_eval(line: bytes) -> Eval:
    """An eval as `evals.retrieve` showed it, with the ids that it had; raises WireError."""
    return restore_eval(read_body(line).values)


def _messages(fields: Fields) -> list[tuple[Any, str]]:
    for name in ("messages", "input"):
        asked = fields.get(name)
        if isinstance(asked, str):
            return [({"role": "user", "content": asked}, name)]
        if isinstance(asked, Mapping):  # a page, as it was listed
            return fields.inner(name).items("data", fewest=1)
        if asked is not None:
            return fields.items(name, fewest=1)
    words = "It lacks 'messages', what was asked: chat.completions.messages.list(id) gives them."
    raise WireError(words, "missing_required_parameter", "messages")


def _asked(message: Any, path: str) -> dict[str, Any]:
    """A message as it was asked, whether it is one or was listed as stored."""
    fields = Fields(message, path)
    fields.text("role")
    content, parts = fields.get("content"), fields.get("content_parts")
    if parts is not None:
        if not isinstance(parts, list):
            raise wrong_type(fields.at("content_parts"), "an array", parts)
        content = [_known(part) for part in cast(list[Any], parts)]
    elif content is not None and not isinstance(content, str | list):
        raise wrong_type(fields.at("content"), "a string or an array", content)
    more = {name: value for name, value in fields.values.items() if value is not None}
    return {
        **{name: value for name, value in more.items() if name not in ("id", "content_parts", "content")},
        "content": content,
    }


def _known(part: Any) -> Any:
    """A part without the fields that it does not have."""
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in cast(dict[str, Any], part).items() if value is not None}
