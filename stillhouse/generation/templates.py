"""Template: what a teacher is asked, with named blanks, examples and the form of the answer; checked before use."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, final

from stillhouse.data.items import Item, text_of
from stillhouse.errors import DataError, UsageError
from stillhouse.wire.errors import WireError
from stillhouse.wire.item_schema import ItemSchema

__all__ = ["OF_ITEMS", "Example", "Template", "item_values", "read_template", "write_turns"]

OF_ITEMS = ("text", "conversation", "answer", "label", "truth", "rationale", "language", "model", "split", "rejected")
"""The blanks that an item fills in, where it has what they ask for; `metadata.NAME` besides."""
METADATA = "metadata."
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)?")
KEYS = ("user", "system", "examples", "schema", "request", "values", "files")
OURS = ("messages", "model", "stream", "response_format")
LARGEST = 2**22
SHOWN = 12


@final
@dataclass(frozen=True)
class Example:
    """One question that is shown with its answer before the one that is asked."""

    values: Mapping[str, str]
    """What fills the blanks of its question; others are filled as those of the question that is asked."""
    answer: str


@final
@dataclass(frozen=True, kw_only=True)
class Template:
    """The messages of a question. A blank is `{name}`; a brace that is none is written twice.

    Raises UsageError where a blank is malformed, an example lacks what it is filled with, or the schema is none.
    """

    user: str
    system: str | None = None
    examples: Sequence[Example] = ()
    schema: Mapping[str, Any] | None = None
    """A JSON Schema that the answer has to fit; None: words."""
    request: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More keys of the request, such as `temperature`."""
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    """Blanks that are the same for every question, such as a handbook."""

    def __post_init__(self) -> None:
        every = self.blanks
        ours = sorted(set(self.request) & set(OURS))
        if ours:
            raise UsageError(f"The template's request sets {ours[0]!r}, which follows from the template. Leave it out.")
        for name in self.values:
            if name not in every:
                raise UsageError(
                    f"The template gives a value for {name!r}, a blank that it has not.{near(name, every)}"
                )
        for number, example in enumerate(self.examples, 1):
            for name in example.values:
                if name not in every:
                    raise UsageError(f"Example {number} fills {name!r}, a blank that it has not.{near(name, every)}")
        self.answers()

    @property
    def blanks(self) -> frozenset[str]:
        """The names of all blanks."""
        parts = [*_parts(self.user, "user"), *_parts(self.system or "", "system")]
        return frozenset(text for is_blank, text in parts if is_blank)

    def check(self, known: Iterable[str]) -> None:
        """Raise UsageError naming a blank that nothing fills, and the nearest that something does."""
        there = [*known, *self.values]
        for name in sorted(self.blanks - set(there)):
            if not name.startswith(METADATA):
                words = f"Nothing fills the blank {{{name}}}.{near(name, there)}"
                raise UsageError(f"{words} A brace that is no blank is written twice: {{{{.")
        own = frozenset(text for is_blank, text in _parts(self.user, "user") if is_blank) & set(OF_ITEMS)
        for number, example in enumerate(self.examples, 1):
            missing = sorted(own - set(example.values))
            if missing:
                raise UsageError(f"Example {number} of the template fills no {{{missing[0]}}}, which its question has.")

    def check_item(self, item: Item) -> None:
        """Raise UsageError where nothing of an item would be told: it has no file, and no blank is filled by it."""
        if not item.media and not any(name in OF_ITEMS or name.startswith(METADATA) for name in self.blanks):
            raise UsageError(
                "The template has no blank that an item fills: the same would be asked of every item. Write {text} "
                "where its words belong."
            )

    def fill(self, values: Mapping[str, str]) -> list[dict[str, Any]]:
        """The messages with every blank filled in, once: what is filled in is not read again.

        Raises DataError naming a blank for which there is no value.
        """
        given = {**self.values, **values}
        messages: list[dict[str, Any]] = []
        if self.system is not None:
            messages.append({"role": "system", "content": _filled(self.system, "system", given)})
        for example in self.examples:
            messages.append({"role": "user", "content": _filled(self.user, "user", {**given, **example.values})})
            messages.append({"role": "assistant", "content": example.answer})
        return [*messages, {"role": "user", "content": _filled(self.user, "user", given)}]

    def answers(self) -> ItemSchema | None:
        """What checks answers; None where any words will do. Raises UsageError where the schema is none."""
        if self.schema is None:
            return None
        try:
            return ItemSchema(self.schema, "schema")
        except WireError as error:
            raise UsageError(f"The template's schema cannot be used: {error}") from error

    def body(self) -> dict[str, Any]:
        """What the request says beside its messages."""
        if self.schema is None:
            return dict(self.request)
        described = {"name": "answer", "strict": True, "schema": dict(self.schema)}
        return {**self.request, "response_format": {"type": "json_schema", "json_schema": described}}

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the lineage of what it makes."""
        shown = {"user": self.user, "system": self.system, "schema": self.schema, "request": dict(self.request)}
        examples = [{**example.values, "answer": example.answer} for example in self.examples]
        found = {**shown, "examples": examples, "values": dict(self.values)}
        return {name: value for name, value in found.items() if value}


def read_template(path: Path) -> Template:
    """The template in a file: TOML where its name ends so, else the words of the user's message.

    Raises UsageError naming what is wrong, in which file and where.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"The template {path} is larger than {LARGEST // 2**20} MiB. Is it data?")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The template {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The template {path} is no text in UTF-8: {error}.") from error
    try:
        if path.suffix.lower() != ".toml":
            return Template(user=text.rstrip("\n"))
        return _from_table(tomllib.loads(text), path.parent)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The template {path} is not TOML: {error}.") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def item_values(item: Item) -> dict[str, str]:
    """What an item fills into blanks: only what it has."""
    facts = item.facts
    found = {
        "text": item.text,
        "conversation": write_turns(item.messages) if item.messages else None,
        "answer": item.words,
        "rejected": text_of(item.rejected) if item.rejected else None,
        "label": item.label,
        "truth": item.truth,
        "rationale": item.rationale,
        "language": facts.language,
        "model": facts.model,
        "split": facts.split,
        **{f"{METADATA}{name}": value for name, value in facts.metadata.items()},
    }
    values = {name: value for name, value in found.items() if value}
    return {"text": "", **values} if item.media else values  # a picture needs no words


def write_turns(messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation as text, a line for who speaks before what is said."""
    return "\n\n".join(f"{message.get('role', 'user')}: {text_of(message)}" for message in messages)


def near(name: str, known: Iterable[str]) -> str:
    """What was meant perhaps, else what there is."""
    there = sorted(set(known))
    close = difflib.get_close_matches(name, there, n=1)
    if close:
        return f" Did you mean {{{close[0]}}}?"
    return f" There are {', '.join(f'{{{each}}}' for each in there[:SHOWN])}." if there else ""


def _from_table(table: dict[str, Any], folder: Path) -> Template:
    for key in table:
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1)
            raise UsageError(
                f"it sets {key!r}, which a template does not know. "
                + (f"Did you mean {close[0]!r}?" if close else f"It knows {', '.join(KEYS)}.")
            )
    if not isinstance(table.get("user"), str):
        raise UsageError("it has no text `user`: what is asked, with blanks such as {text}.")
    files = {name: _file(folder / str(place), name) for name, place in _table(table, "files").items()}
    return Template(
        user=table["user"].rstrip("\n"),
        system=_text(table, "system"),
        examples=tuple([_example(number, each) for number, each in enumerate(table.get("examples", []), 1)]),
        schema=_table(table, "schema") or None,
        request=_table(table, "request"),
        values={**{name: str(value) for name, value in _table(table, "values").items()}, **files},
    )


def _example(number: int, table: Any) -> Example:
    if not isinstance(table, dict) or not isinstance(cast("dict[str, Any]", table).get("answer"), str):
        raise UsageError(f"example {number} has no text `answer`; it is a table of blanks and `answer`.")
    given = cast("dict[str, Any]", table)
    return Example({name: str(value) for name, value in given.items() if name != "answer"}, given["answer"])


def _text(table: dict[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"`{key}` is {value!r}; it is a text.")
    return None if value is None else value.rstrip("\n")


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(f"`{key}` is {value!r}; it is a table.")
    return cast("dict[str, Any]", value)


def _file(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file of the blank {{{name}}}, {path}, cannot be read: {error}.") from error


def _filled(template: str, where: str, values: Mapping[str, str]) -> str:
    made: list[str] = []
    for is_blank, text in _parts(template, where):
        if is_blank and text not in values:
            raise DataError(f"it has nothing for the blank {{{text}}}")
        made.append(values[text] if is_blank else text)
    return "".join(made)


def _parts(template: str, where: str) -> Iterator[tuple[bool, str]]:
    """The words and the blanks (True) of a text, in order; raises UsageError where a brace is neither."""
    at = 0
    for found in re.finditer(r"\{\{|\}\}|\{([^{}]*)\}|[{}]", template):
        yield False, template[at : found.start()]
        at = found.end()
        if found[0] in ("{{", "}}"):
            yield False, found[0][0]
        elif found[1] is not None and NAME.fullmatch(found[1].strip()):
            yield True, found[1].strip()
        else:
            line = template.count("\n", 0, found.start()) + 1
            column = found.start() - template.rfind("\n", 0, found.start())
            what = "is no name of a blank" if found[1] is not None else "belongs to no blank"
            raise UsageError(
                f"the text `{where}`, line {line}, column {column}: {found[0]!r} {what}. A blank is {{name}}; a brace "
                "that is none is written twice."
            )
    yield False, template[at:]
