"""What items say, as curation compares it: the user's words, the frame around them, everything, and the label."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, cast

import orjson

from stillhouse.data.curate import normalise
from stillhouse.data.items import Item, text_of

__all__ = ["asked", "frame", "hash64", "label_of", "rank", "whole"]


def asked(item: Item) -> str:
    """The words of every message of the user."""
    return "\n".join(text_of(message) for message in item.messages if message.get("role") == "user")


def label_of(item: Item) -> str | None:
    """The class that an item is taught with: the teacher's, else the true one."""
    return item.label if item.label is not None else item.truth


def frame(item: Item) -> int:
    """64 bits of what stands around the user's words: instructions, files, and how many turns there were.

    The same words under other instructions are another task, and a conversation with one more turn is no
    duplicate of what it was before.
    """
    rules = [normalise(text_of(each)) for each in item.messages if each.get("role") in ("system", "developer")]
    turns = sum(message.get("role") == "user" for message in item.messages)
    return hash64(orjson.dumps([rules, [media.digest for media in item.media], turns]))


def whole(item: Item) -> int:
    """64 bits of all that an item says, without differences of case, width and white space."""
    messages = [_plain(message) for message in (*item.messages, item.answer, item.rejected) if message is not None]
    labels = [item.label, item.truth, item.rationale, item.answer is None, item.rejected is None]
    files = [media.digest for media in item.media]
    return hash64(orjson.dumps([item.kind, messages, labels, files], option=orjson.OPT_SORT_KEYS))


def rank(item: Item) -> float:
    """How much is known of an item: of duplicates the one with a true answer is kept, then one with any answer,
    then the better graded one; then the first."""
    known = 4 * (item.truth is not None) + 2 * (item.label is not None or item.answer is not None)
    return known + min(max(item.facts.grade or 0.0, 0.0), 1.0)


def hash64(content: bytes) -> int:
    """64 bits; among a million contents two differ in fact with equal bits in one of 40 million cases."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _plain(message: Mapping[str, Any]) -> list[Any]:
    """A message's role and words; all of it where it holds more than words."""
    content: Any = message.get("content")
    parts: list[Any] = cast("list[Any]", content) if isinstance(content, list) else []
    more = {name: value for name, value in message.items() if name not in ("role", "content") and value}
    return [message.get("role"), normalise(text_of(message)), more, [part for part in parts if "text" not in part]]
