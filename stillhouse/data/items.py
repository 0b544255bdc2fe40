"""Item: one row of a dataset: what was asked, what was answered, and what is known about both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, cast, final

import orjson

from stillhouse.errors import DataError

__all__ = ["Facts", "Item", "Kind", "Media", "Method", "Source", "hash_items", "item_from_json", "text_of"]

Message = Mapping[str, Any]
"""A message as OpenAI writes it: `role`, `content` (a text or parts), perhaps `tool_calls`, `name`, `tool_call_id`."""

TEXT_PARTS = ("text", "input_text", "output_text")


class Kind(StrEnum):
    """What an item is."""

    TEXT = "text"
    """One text, perhaps with a label."""
    CHAT = "chat"
    """A conversation, perhaps with the answer that follows."""
    IMAGE = "image"
    """One picture, perhaps with a label."""
    PAIRED = "paired"
    """A picture or another file, and words about it."""
    PREFERENCE = "preference"
    """A conversation with a better answer and a worse one."""


class Method(StrEnum):
    """How an item came to be."""

    CAPTURED = "captured"
    """A call that passed through the gateway."""
    IMPORTED = "imported"
    """Read from a file."""
    LABELLED = "labelled"
    """A teacher was asked about an item."""
    SYNTHETIC = "synthetic"
    """A teacher made it up."""
    CORRECTED = "corrected"
    """A person changed it."""


@final
@dataclass(frozen=True, slots=True)
class Media:
    """A file that belongs to an item: its bytes lie in the home folder by their SHA-256."""

    digest: str
    type: str
    """Its media type: `image/png`, `audio/wav`."""
    name: str
    bytes: int


@final
@dataclass(frozen=True, slots=True)
class Source:
    """Where an item comes from."""

    method: Method = Method.IMPORTED
    origin: str = ""
    """The id of a call, or the name of a file without its folder."""
    row: int = 0
    """The line of the file, from 1; 0 where there are no lines."""
    teacher: str | None = None
    """The name of who gave the answer; by it terms are found."""
    parents: tuple[str, ...] = ()
    """The ids of the items that it was made from."""


@final
@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about an item, and what it is found by."""

    model: str | None = None
    """The model that answered."""
    created: int | None = None
    """Unix seconds."""
    language: str | None = None
    """ISO 639-1."""
    conversation: str | None = None
    """Items of one conversation carry the same name."""
    subject: str | None = None
    """The person that it is about, by the name that the calling program gave."""
    grade: float | None = None
    """0..1, by whatever graded it last."""
    split: str | None = None
    """`train`, `selection`, `test`, ..."""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@final
@dataclass(frozen=True, slots=True)
class Item:
    """One row. It never changes: `dataclasses.replace` makes another."""

    kind: Kind
    messages: tuple[Message, ...] = ()
    """Everything before the answer; a text is one message of the user."""
    answer: Message | None = None
    """The assistant's message that follows, of preferences the better one."""
    rejected: Message | None = None
    """Of preferences the worse one."""
    label: str | None = None
    """The class that the teacher gave."""
    truth: str | None = None
    """The right class or answer, where it is known."""
    rationale: str | None = None
    """The reasons that a teacher gave for the answer."""
    soft: Mapping[str, float] = field(default_factory=dict[str, float])
    """How likely each label was held, 0..1."""
    media: tuple[Media, ...] = ()
    facts: Facts = Facts()
    source: Source = Source()

    @property
    def text(self) -> str:
        """The words of the last message of the user: what most filters look at."""
        asked = [message for message in self.messages if message.get("role") == "user"]
        return text_of(asked[-1]) if asked else ""

    @property
    def words(self) -> str:
        """The words of the answer; nothing where there is none."""
        return text_of(self.answer) if self.answer else ""

    @property
    def content_hash(self) -> str:
        """SHA-256 of what the item says, whoever said it and when: equal for exact duplicates."""
        said = self.to_json()
        return _digest({name: value for name, value in said.items() if name not in ("facts", "source")})

    @property
    def id(self) -> str:
        """What it is called: 32 hexadecimal digits of what it says and where it comes from."""
        return _digest([self.content_hash, self.source.method, self.source.origin, self.source.row])[:32]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values; what is empty is left out."""
        return _plain(self)


def text_of(message: Message) -> str:
    """The words of a message: its text, or the text parts of its content joined."""
    content: Any = message.get("content")
    if isinstance(content, str):
        return content
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    maps = [cast("Message", part) for part in parts if isinstance(part, Mapping)]
    texts = [part for part in maps if part.get("type") in TEXT_PARTS]
    return "".join(str(part.get("text") or "") for part in texts)


def item_from_json(value: Mapping[str, Any]) -> Item:
    """The item that `to_json` wrote; raises DataError where a key is unknown or of another kind."""
    given: dict[str, Any] = dict(value)
    facts: dict[str, Any] = dict(given.pop("facts", {}))
    source: dict[str, Any] = dict(given.pop("source", {}))
    try:
        facts["tags"] = tuple(facts.get("tags", ()))
        source["method"] = Method(source.get("method", Method.IMPORTED))
        source["parents"] = tuple(source.get("parents", ()))
        given["kind"], given["messages"] = Kind(given["kind"]), tuple(given.get("messages", ()))
        given["media"] = tuple(Media(**each) for each in given.get("media", ()))
        return Item(**given, facts=Facts(**facts), source=Source(**source))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"This is no item of a dataset: {error}. Its keys: {', '.join(list(value)[:8])}.") from error


def hash_items(items: Iterable[Item]) -> str:
    """SHA-256 of items in their order, with all that is known of them: the same on every machine."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(_digest(item.to_json()).encode())
    return digest.hexdigest()


def _plain(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in fields(value):
        part: Any = getattr(value, each.name)
        if isinstance(part, (Facts, Source)):
            part = _plain(part)
        elif isinstance(part, tuple):
            part = [_plain(one) if isinstance(one, Media) else one for one in cast("tuple[Any, ...]", part)]
        elif isinstance(part, Mapping):
            part = dict(cast("Mapping[str, Any]", part))
        if part not in (None, [], {}) and part != each.default:
            found[each.name] = part
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
