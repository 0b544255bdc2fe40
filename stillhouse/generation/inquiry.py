"""Inquiry: how a method asks its teacher, from blanks to questions, and what a reply says in words or in JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, final

import orjson

from stillhouse.artifacts import hash_json
from stillhouse.data.items import Item, Media, Method, text_of
from stillhouse.data.terms import parts_of
from stillhouse.generation.questions import Question, Reply

__all__ = [
    "Ask",
    "Form",
    "Inquiry",
    "ReadMedia",
    "Unusable",
    "answer_of",
    "asked_key",
    "asking_instead",
    "credit",
    "json_of",
    "lines_of",
    "object_schema",
    "teachers_of",
]

Message = Mapping[str, Any]
CUT_OFF = ("length", "content_filter")
FENCED = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
NUMBERED = re.compile(r"^\s*(?:[-*•]|#?\d+\s*[.):])\s+")
SHOWN = 40

Ask = Callable[[Sequence[Question]], Mapping[str, Reply]]
"""Asks everything and gives the replies by key; a question without one was not answered, for its own reason."""

ReadMedia = Callable[[Media], bytes]
"""The bytes of a file."""


class Unusable(Exception):
    """Why a reply cannot be used."""


class Form(Protocol):
    """A prompt with blanks."""

    def fill(self, values: Mapping[str, str]) -> list[dict[str, Any]]:
        """The messages with every blank filled in."""
        ...


@final
@dataclass(frozen=True)
class Inquiry:
    """How one method asks: who, by which prompt, with which settings."""

    model: str
    form: Form
    request: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else the request says: temperature, max_completion_tokens, ..."""
    called: str | None = None
    """The teacher's name among those of a server; None: that of the model."""
    read_media: ReadMedia | None = None
    """How the pictures are read that it is shown; without it nothing is asked about items that have any."""

    @property
    def teacher(self) -> str:
        """Who gives the answers, by the name that terms go by."""
        return self.called or self.model

    def question(
        self, key: str, values: Mapping[str, str], more: Mapping[str, Any] | None = None, again: int = 0
    ) -> Question:
        """A question with the blanks filled in; `more` is asked for this question beside what all are."""
        return self.send(key, self.form.fill(values), more, again)

    def send(
        self, key: str, messages: Sequence[Message], more: Mapping[str, Any] | None = None, again: int = 0
    ) -> Question:
        """A question of messages as they are."""
        body = {"model": self.model, "messages": list(messages), **(more or {}), **self.request}
        return Question(key, orjson.dumps(body, option=orjson.OPT_SORT_KEYS), again)


def credit(item: Item, teacher: str, keeps_answer: bool = False) -> str:
    """Whose terms hold for what a teacher made of an item: its own and, where another had made the item up or gave the
    answer that it still has, also those of that one: `one+other`."""
    answered = item.source.teacher or item.facts.model if keeps_answer and item.answer is not None else None
    before = item.source.teacher if item.source.method is Method.SYNTHETIC else answered
    return "+".join(sorted({*parts_of(before), teacher} - {""}))


def teachers_of(item: Item) -> set[str]:
    """Who gave what an item has, by the names that terms go by: several where they did together (`one+other`)."""
    return set(parts_of(item.source.teacher or item.facts.model))


def asked_key(item: Item) -> str:
    """By what items are the same that ask and show the same, whatever is answered."""
    return hash_json([list(item.messages), [media.digest for media in item.media]])


def asking_instead(item: Item, text: str) -> tuple[Message, ...]:
    """The messages of an item with its last question replaced by another: what was said before it, and what it shows
    beside its words, stays."""
    last = max((at for at, message in enumerate(item.messages) if message.get("role") == "user"), default=None)
    before = item.messages if last is None else item.messages[:last]
    content: Any = None if last is None else item.messages[last].get("content")
    parts = cast("list[Message]", content) if isinstance(content, list) else []
    kept = [part for part in parts if not text_of({"content": [part]})]
    return (*before, {"role": "user", "content": [*kept, {"type": "text", "text": text}] if kept else text})


def answer_of(reply: Reply | None, choice: int = 0) -> dict[str, Any]:
    """The message of a reply's choice; raises Unusable where there is none that is whole."""
    if reply is None:
        raise Unusable("not answered: asked again by the same command")
    if reply.refused is not None:
        raise Unusable(f"refused by the teacher: {reply.refused}")
    if choice >= len(reply.choices):
        raise Unusable(f"fewer answers: {len(reply.choices)} came, the teacher may know no `n`")
    found = reply.choices[choice]
    if found.get("finish_reason") in CUT_OFF:
        raise Unusable(f"cut off: finish_reason {found['finish_reason']}")
    message: Any = found.get("message")
    if not isinstance(message, Mapping) or cast("Message", message).get("refusal"):
        raise Unusable("refused by the teacher: it declined in its answer")
    said = cast("Message", message)
    kept = {name: said[name] for name in ("content", "tool_calls") if said.get(name)}
    if not kept or ("tool_calls" not in kept and not text_of(said).strip()):
        raise Unusable("empty: the answer holds no words")
    return {"role": "assistant", "content": None, **kept}


def json_of(reply: Reply | None, choice: int = 0) -> dict[str, Any]:
    """The JSON object that a reply is, or holds between fences or other words; raises Unusable."""
    words = text_of(answer_of(reply, choice))
    fenced = FENCED.search(words)
    inner = words[words.find("{") : words.rfind("}") + 1]
    for text in (words, fenced[1] if fenced else "", inner):
        try:
            value: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            return cast("dict[str, Any]", value)
    raise Unusable(f"not JSON: {words[:SHOWN]!r}")


def lines_of(reply: Reply | None, name: str, choice: int = 0) -> list[str]:
    """The texts that a reply lists: as JSON under a name, else as lines with numbers or dashes, else as its lines."""
    try:
        value: Any = json_of(reply, choice).get(name)
        listed = [one for one in cast("list[Any]", value) if isinstance(one, str)] if isinstance(value, list) else []
    except Unusable as error:
        if not str(error).startswith("not JSON"):
            raise
        lines = text_of(answer_of(reply, choice)).splitlines()
        marked = [line for line in lines if NUMBERED.match(line)]
        listed = [NUMBERED.sub("", line) for line in marked or lines]
    found = [one.strip().strip('"').strip() for one in listed]
    if not any(found):
        raise Unusable("empty: the answer lists nothing")
    return [one for one in found if one]


def object_schema(name: str, properties: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The `response_format` by which a teacher answers with a JSON object of these properties, all of them."""
    schema = {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}}
