"""Pictures shown to a teacher: the files of an item as parts of a message, checked by their first bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stillhouse.data.items import Media
from stillhouse.generation.inquiry import Unusable

__all__ = ["ReadMedia", "picture_type", "with_pictures"]

ReadMedia = Callable[[Media], bytes]
"""The bytes of a file."""
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


def with_pictures(
    messages: Sequence[Mapping[str, Any]], media: Sequence[Media], read: ReadMedia | None
) -> list[dict[str, Any]]:
    """Messages whose last one shows pictures before its words; raises Unusable for a file that is none."""
    if not media:
        return [dict(message) for message in messages]
    if read is None:
        raise Unusable("no picture: its files are not there")
    parts = [{"type": "image_url", "image_url": {"url": _address(each, read)}} for each in media]
    last = messages[-1]
    words = [{"type": "text", "text": last["content"]}] if last["content"] else []
    return [*(dict(message) for message in messages[:-1]), {**last, "content": [*parts, *words]}]


def _address(media: Media, read: ReadMedia) -> str:
    """A picture as an address that holds it."""
    if not media.type.startswith("image/"):
        raise Unusable(f"no picture: {media.name} is {media.type}")
    if media.bytes > LARGEST:
        raise Unusable(f"no picture: {media.name} has {media.bytes / 2**20:.0f} MB, and at most 20 are shown")
    content = read(media)
    found = picture_type(content)
    if found is None:
        raise Unusable(f"no picture: {media.name} is none, whatever its type {media.type} says")
    return f"data:{found};base64,{b64encode(content).decode()}"
