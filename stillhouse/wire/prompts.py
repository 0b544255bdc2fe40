"""Prompts with places to fill in: the messages of model graders and eval runs, read, echoed and written for chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from stillhouse.wire.fields import Fields, wrong_type, wrong_value

__all__ = ["Part", "PromptMessage", "chat_message", "echo_message", "read_messages", "read_prompt"]

ROLES = ("user", "assistant", "system", "developer")
CHAT_ROLES = (*ROLES, "tool", "function")
TEXTS = ("input_text", "output_text", "text")
DETAILS = ("auto", "low", "high", "original")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message: `text` holds the words, the address of a picture, or the sound in base64."""

    kind: Literal["text", "image", "audio"]
    text: str
    extra: str | None = None
    """A picture's detail, or a sound's format."""


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One turn of a prompt, whose parts may hold places to fill in."""

    role: str
    parts: tuple[Part, ...]
    written: Mapping[str, Any]
    """As it came, for the echo."""


def read_prompt(fields: Fields, name: str) -> tuple[PromptMessage, ...]:
    """The messages of a prompt; raises WireError with the path of what is wrong."""
    return tuple([_message(Fields(value, path)) for value, path in fields.items(name, fewest=1)])


def echo_message(message: PromptMessage) -> dict[str, Any]:
    """A message as it came, with its type."""
    return {"type": "message", **message.written}


def chat_message(role: str, parts: Sequence[Part]) -> dict[str, Any]:
    """A message of a chat call: plain words as one string, anything else as content parts."""
    if len(parts) == 1 and parts[0].kind == "text":
        return {"role": role, "content": parts[0].text}
    return {"role": role, "content": [_chat_part(part) for part in parts]}


def read_messages(value: object, path: str) -> list[dict[str, Any]]:
    """The messages of a conversation found in data, ready for a chat call; raises WireError."""
    if not isinstance(value, list) or not value:
        raise wrong_type(path, "an array of messages", cast(object, value))
    read: list[dict[str, Any]] = []
    for index, row in enumerate(cast(list[Any], value)):
        fields = Fields(row, f"{path}[{index}]")
        role = fields.choice("role", CHAT_ROLES)
        calls = {key: fields.get(key) for key in ("tool_calls", "tool_call_id", "name") if fields.get(key) is not None}
        if fields.get("content") is None and "tool_calls" in calls:
            read.append({"role": role, "content": None, **calls})
        else:
            read.append({**chat_message(role, _parts(fields)), **calls})
    return read


def _message(fields: Fields) -> PromptMessage:
    if fields.get("type") is not None:
        fields.choice("type", ("message",))
    written = {key: fields.values[key] for key in ("role", "content") if key in fields.values}
    return PromptMessage(fields.choice("role", ROLES), _parts(fields), written)


def _parts(fields: Fields) -> tuple[Part, ...]:
    content, path = fields.need("content"), fields.at("content")
    if isinstance(content, list):
        return tuple([_part(value, where) for value, where in fields.items("content", fewest=1)])
    return (_part(content, path),)


def _part(value: object, path: str) -> Part:
    if isinstance(value, str):
        return Part("text", value)
    fields = Fields(value, path)
    kind = fields.text("type")
    if kind in TEXTS:
        return Part("text", fields.text("text"))
    if kind == "refusal":
        return Part("text", fields.text("refusal"))
    if kind in ("input_image", "image_url"):
        return _image(fields)
    if kind == "input_audio":
        sound = fields.inner("input_audio")
        return Part("audio", sound.text("data"), sound.choice("format", ("mp3", "wav")))
    supported = ", ".join(f"'{name}'" for name in (*TEXTS, "input_image", "image_url", "input_audio"))
    raise wrong_value(fields.at("type"), f"'{kind}' is none of {supported}")


def _image(fields: Fields) -> Part:
    """A picture in the form of prompts, `{image_url, detail}`, or of chat, `{image_url: {url, detail}}`."""
    inside = fields.inner("image_url") if isinstance(fields.get("image_url"), dict) else fields
    url = inside.text("image_url" if inside is fields else "url")
    return Part("image", url, None if inside.get("detail") is None else inside.choice("detail", DETAILS))


def _chat_part(part: Part) -> dict[str, Any]:
    match part.kind:
        case "text":
            return {"type": "text", "text": part.text}
        case "image":
            detail = {} if part.extra is None else {"detail": part.extra}
            return {"type": "image_url", "image_url": {"url": part.text, **detail}}
        case "audio":
            return {"type": "input_audio", "input_audio": {"data": part.text, "format": part.extra}}
