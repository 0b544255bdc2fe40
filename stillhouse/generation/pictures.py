"""Pictures shown to a teacher: the files of an item as parts of a message, checked by their first bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from stillhouse.data.items import Item, Media
from stillhouse.generation.inquiry import Inquiry, ReadMedia, Unusable
from stillhouse.generation.questions import Question

__all__ = ["picture_type", "pictures", "question_about", "said", "shown", "unseen", "with_pictures"]

Message = Mapping[str, Any]
Part = Mapping[str, Any]
PICTURE = "image_url"
LARGEST = 20 * 2**20
"""Bytes of the largest picture that is shown: what APIs of today take."""


def picture_type(content: bytes) -> str | None:
    """The media type of a picture that APIs take, by its first bytes; None of anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return None


def pictures(item: Item, read: ReadMedia | None) -> list[Part]:
    """What an item shows: the pictures in its messages, then its files; raises Unusable for a file that is none."""
    return [*said(item.messages), *shown(item.media, read)]


def said(messages: Iterable[Message]) -> list[Part]:
    """The pictures that stand in messages themselves."""
    contents: list[Any] = [message.get("content") for message in messages]
    parts = [part for content in contents if isinstance(content, list) for part in cast("list[Part]", content)]
    return [part for part in parts if part.get("type") == PICTURE]


def shown(media: Sequence[Media], read: ReadMedia | None) -> list[Part]:
    """Files as parts of a message; raises Unusable for one that is no picture."""
    found = [_picture(each, read) for each in media]
    return [
        {"type": PICTURE, "image_url": {"url": f"data:{kind};base64,{b64encode(content).decode()}"}}
        for kind, content in found
    ]


def with_pictures(messages: Sequence[Message], parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Messages whose last one of the user shows pictures before its words; they are a message where there is none."""
    found = [dict(message) for message in messages]
    if not parts:
        return found
    last = max((at for at, message in enumerate(found) if message.get("role") == "user"), default=None)
    if last is None:
        return [*found, {"role": "user", "content": [*parts]}]
    content: Any = found[last].get("content")
    words = cast("list[Part]", content) if isinstance(content, list) else [{"type": "text", "text": content}]
    found[last]["content"] = [*parts, *(words if content else [])]
    return found


def question_about(
    inquiry: Inquiry,
    key: str,
    item: Item,
    values: Mapping[str, str],
    more: Mapping[str, Any] | None = None,
    again: int = 0,
) -> Question:
    """A question with the blanks filled in that shows the pictures of an item; raises Unusable where one is none."""
    messages = with_pictures(inquiry.form.fill(values), pictures(item, inquiry.read_media))
    return inquiry.send(key, messages, more, again)


def unseen(item: Item, read: ReadMedia | None) -> str | None:
    """Why the files of an item cannot be shown; None where they can, or it has none."""
    try:
        for each in item.media:
            _picture(each, read)
    except Unusable as error:
        return str(error)
    return None


def _picture(media: Media, read: ReadMedia | None) -> tuple[str, bytes]:
    """The type and the bytes of a picture."""
    if read is None:
        raise Unusable("no picture: its files are not there")
    if not media.type.startswith("image/"):
        raise Unusable(f"no picture: {media.name} is {media.type}")
    if media.bytes > LARGEST:
        raise Unusable(f"no picture: {media.name} has {media.bytes / 2**20:.0f} MB, and at most 20 are shown")
    content = read(media)
    found = picture_type(content)
    if found is None:
        raise Unusable(f"no picture: {media.name} is none, whatever its type {media.type} says")
    return found, content
