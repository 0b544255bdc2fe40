"""Trace: how what is about a person is found again: by the person's name, by ids of calls, and by their words."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast, final

import numpy as np
import orjson
from numpy.typing import NDArray

from stillhouse.data.items import Item
from stillhouse.data.subjects import NAMES, SUBJECT
from stillhouse.errors import DataError

__all__ = ["ERASED", "WIDTH", "Reason", "Trace"]

Reason = Literal["name", "id", "words"]

ERASED = "[erased]"
"""What stands where words stood."""

WIDTH = 24
"""Bytes of a fragment: shorter texts are too common to tell one person's from another's."""

WORD, SIEVE = 8, 18
"""Bytes of a fragment by which it is looked for first, and the bits of the table that passes over most others."""

MOST_FRAGMENTS = 200
"""Of one text."""

SEVERAL = 3
"""Rows of nobody that show words to be common."""

PIECE = 2**21
"""Bytes of a file that are looked through at once."""

BESIDE = 64
"""Bytes around a name by which it is told to stand by itself, or under a key."""

NAMED = (SUBJECT, *NAMES)
"""The keys under which a row names its person, at any depth."""

UNMISTAKABLE = 6
"""Letters and digits of a name, both among them, by which nothing else is called."""

MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

STRUCTURE = ("id", "object", "role", "type", "name", "status", "model", "finish_reason", "tool_call_id", "mime_type")
"""Keys of JSON whose texts are no words of anybody."""

INSTRUCTIONS = ("system", "developer")
"""Who writes the same to everybody."""

PLAIN = re.compile(rb"[ !#-%(-;=?-\[\]-~]{" + str(WIDTH).encode() + rb",}")
"""Bytes that stand in JSON and HTML as they are."""


@final
class Trace:
    """Whatever is known of one subject's data. It grows while more is found, and survives JSON."""

    def __init__(self, subject: str, ids: Iterable[str] = (), fragments: Iterable[bytes] = ()) -> None:
        self.subject, self.ids = subject, set(ids)
        self._fragments = set(fragments)
        self._table: NDArray[np.uint64] | None = None
        self._sieve = np.zeros(0, np.bool_)
        self.is_unmistakable = _is_unmistakable(subject)
        """Whether the name is the subject's wherever it stands; a bare word or number is only where a key says so."""
        self._subject, self._keyed = _alone(subject), _keyed(subject)

    @property
    def fragments(self) -> int:
        """How many pieces of the subject's words are known."""
        return len(self._fragments)

    def learn(self, text: str) -> None:
        """Remember the words of a text, for they are the subject's."""
        if len(text) >= WIDTH // 4:
            self._fragments.update(_fragments(text))
            self._table = None

    def learn_value(self, value: Any) -> None:
        """Remember the words in JSON, but for instructions, which are the same for everybody."""
        for text in _texts(value):
            self.learn(text)

    def learn_item(self, item: Item) -> None:
        """Remember an item and its words."""
        self.ids.add(item.id)
        self.learn_value([*item.messages, item.answer, item.rejected, item.rationale, item.truth])

    def forget(self, content: bytes) -> int:
        """Drop the fragments that others' words have as well; how many these were."""
        shared = self._hits(content)
        if shared:
            self._fragments -= shared
            self._table = None
        return len(shared)

    def forget_common(self, rows: Iterable[tuple[bytes, bool | None]]) -> int:
        """Drop what rows of one place show to be everybody's words; how many fragments these were.

        Each row says whether it is the subject's, or None where it names nobody. What others say who are named is
        dropped, and what is in more rows of nobody than of the subject, and in SEVERAL: a template, not a copy.
        """
        theirs, nobodys, dropped = Counter[bytes](), Counter[bytes](), 0
        for content, is_theirs in rows:
            if is_theirs is False:
                dropped += self.forget(content)
            else:
                (nobodys if is_theirs is None else theirs).update(self._hits(content))
        common = {each for each, count in nobodys.items() if count >= SEVERAL and count > theirs[each]}
        if common:
            self._fragments -= common
            self._table = None
        return dropped + len(common)

    def why(self, value: Any) -> Reason | None:
        """Why a JSON value is about the subject; None where it is not."""
        reason = self._named(value)
        if reason is None and self.says(orjson.dumps(value)):
            return "words"
        return reason

    def is_item(self, item: Item) -> bool:
        """Whether an item is the subject's by its facts: its person, its call, or what it was made from."""
        source = item.source
        known = item.facts.subject == self.subject or source.origin in self.ids or item.id in self.ids
        return known or any(parent in self.ids for parent in source.parents)

    def says(self, content: bytes) -> bool:
        """Whether bytes hold words of the subject."""
        return bool(self._hits(content))

    def names(self, content: bytes) -> bool:
        """Whether bytes name the subject: wherever an unmistakable name stands by itself, another under a key."""
        pattern = self._subject if self.is_unmistakable else self._keyed
        return self.subject.encode() in content and pattern.search(content) is not None

    def mentions(self, content: bytes) -> bool:
        """Whether bytes hold the subject's name by itself, be it the subject's there or a word like any other."""
        return self.subject.encode() in content and self._subject.search(content) is not None

    def in_file(self, file: BinaryIO) -> set[str]:
        """What of the subject a file holds, as it is on the disk: `name`, `words`."""
        found: set[str] = set()
        for content in self._contents(file):
            found |= {"words"} if self.says(content) else set()
            found |= {"name"} if self.names(content) else set()
        return found

    def mentioned_in(self, file: BinaryIO) -> bool:
        """Whether a file mentions the name of a subject that is not unmistakable."""
        return not self.is_unmistakable and any(map(self.mentions, self._contents(file)))

    def _contents(self, file: BinaryIO) -> Iterator[bytes]:
        """A file piece by piece, each with the end of the one before."""
        before = b""
        while piece := file.read(PIECE):
            content = before + piece
            yield content
            before = content[-max(WIDTH, len(self.subject.encode()) + BESIDE) :]

    def blank(self, value: Any) -> Any:
        """A JSON value of the same shape without anybody's words."""
        if isinstance(value, str):
            return ERASED
        if isinstance(value, list):
            return [self.blank(each) for each in cast("list[Any]", value)]
        if isinstance(value, dict):
            parts = cast("dict[str, Any]", value)
            return {
                key: each
                if key in STRUCTURE and isinstance(each, str) and self._cleaned_text(each, True) == each
                else self.blank(each)
                for key, each in parts.items()
            }
        return value

    def cleaned(self, value: Any, is_named: bool = False) -> Any:
        """A JSON value whose parts about the subject are blank; `is_named`: it stands under a key of `NAMED`."""
        if isinstance(value, str):
            return self._cleaned_text(value, is_named)
        if isinstance(value, list):
            parts = cast("list[Any]", value)
            return [self.blank(each) if self._is_row(each) else self.cleaned(each, is_named) for each in parts]
        if isinstance(value, dict):
            said = cast("dict[str, Any]", value)
            rename = self.unnamed if self.is_unmistakable else str
            return {rename(key): self.cleaned(each, key in NAMED) for key, each in said.items()}
        return value

    def unnamed(self, value: Any) -> Any:
        """A JSON value in which no text holds the subject's name by itself."""
        if isinstance(value, str):
            return self._subject.sub(b"[subject]", value.encode("utf-8", "replace")).decode()
        if isinstance(value, list):
            return [self.unnamed(each) for each in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {key: self.unnamed(each) for key, each in cast("dict[str, Any]", value).items()}
        return value

    def kept_lines(self, lines: Iterable[bytes], told: Counter[str]) -> Iterator[bytes]:
        """The lines of JSON that are not about the subject; `told` counts the others by the reason.

        A line that is no JSON is judged by the words and the name in it, as `names` finds it.
        """
        for line in lines:
            reason = self._why_line(line)
            if reason is None:
                yield line
            else:
                told[reason] += 1

    def save(self, path: Path) -> None:
        """Write the trace down, for its owner alone; it holds words, and has to go in the end."""
        said = {
            "subject": self.subject,
            "ids": sorted(self.ids),
            "fragments": [base64.b64encode(each).decode() for each in sorted(self._fragments)],
        }
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        waiting = path.with_name(f"{path.name}.writing")
        waiting.touch(mode=0o600)
        waiting.write_bytes(orjson.dumps(said))
        waiting.replace(path)

    @classmethod
    def load(cls, path: Path) -> Trace | None:
        """The trace that was saved, None where there is none; raises DataError where it is damaged."""
        if not path.is_file():
            return None
        try:
            said = json.loads(path.read_bytes())
            return cls(said["subject"], said["ids"], (base64.b64decode(each) for each in said["fragments"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}). Remove it, and give the same command again.") from error

    def _why_line(self, line: bytes) -> Reason | None:
        try:
            value = orjson.loads(line)
        except ValueError:
            return "words" if self.says(line) else "name" if self.names(line) else None
        return self.why(value) or ("name" if self.names(line) else None)

    def _named(self, value: Any) -> Reason | None:
        """Whether a value names the subject or one of the ids, at any depth."""
        if isinstance(value, str):
            return "id" if value in self.ids else None
        found: Reason | None = None
        if isinstance(value, list):
            parts: Sequence[Any] = cast("list[Any]", value)
        elif isinstance(value, dict):
            said = cast("dict[str, Any]", value)
            if any(self._is_whose(said.get(key)) for key in NAMED):
                return "name"
            parts = list(said.values())
        else:
            return None
        for part in parts:
            found = self._named(part) or found
            if found == "name":
                break
        return found

    def _is_row(self, value: Any) -> bool:
        return isinstance(value, dict) and self.why(value) is not None

    def _is_whose(self, value: Any) -> bool:
        """Whether what stands under a key of `NAMED` is the subject, or lists it, as filters do."""
        return value == self.subject or (isinstance(value, list) and self.subject in value)

    def _cleaned_text(self, text: str, is_named: bool) -> str:
        raw = text.encode("utf-8", "surrogatepass")
        if text in self.ids or self.says(raw) or (text == self.subject and (is_named or self.is_unmistakable)):
            return ERASED
        return self.unnamed(text) if self.names(raw) else text

    def _hits(self, content: bytes) -> set[bytes]:
        """The fragments that bytes hold."""
        if not self._fragments or len(content) < WIDTH:
            return set()
        if self._table is None:
            firsts = np.frombuffer(b"".join(each[:WORD] for each in self._fragments), "<u8")
            self._table, self._sieve = np.unique(firsts), np.zeros(2**SIEVE, np.bool_)
            self._sieve[_mixed(self._table)] = True
        found: set[bytes] = set()
        for shift in range(WORD):  # every word of 8 bytes, wherever it begins
            words = np.frombuffer(content, "<u8", (len(content) - shift) // WORD, shift)
            maybe = np.flatnonzero(self._sieve[_mixed(words)])
            place = np.searchsorted(self._table, words[maybe])
            place[place == len(self._table)] = 0
            for word in maybe[self._table[place] == words[maybe]].tolist():
                found.add(content[WORD * word + shift : WORD * word + shift + WIDTH])
        return found & self._fragments


def _is_unmistakable(subject: str) -> bool:
    """Whether a name is an address, or long and of letters and digits: nothing else is called so by chance."""
    is_long = len(subject) >= UNMISTAKABLE
    is_mixed = any(map(str.isalpha, subject)) and any(map(str.isdigit, subject))
    return (is_long and is_mixed) or MAIL.fullmatch(subject) is not None


def _alone(subject: str) -> re.Pattern[bytes]:
    """A name by itself, also after an escape of JSON; an address is no end and no beginning of a longer one."""
    before, after = (rb"[\w.+%-]", rb"\.?[\w-]") if MAIL.fullmatch(subject) else (rb"[\w-]", rb"[\w-]")
    return re.compile(rb"(?:(?<!%b)|(?<=\\[bfnrt]))%b(?!%b)" % (before, re.escape(subject.encode()), after))


def _keyed(subject: str) -> re.Pattern[bytes]:
    """A name under a key of `NAMED`, also in JSON that is a text of JSON, or that breaks off."""
    keys = "|".join(NAMED).encode()
    return re.compile(rb'"(?:%b)\\*"\s*:\s*\\*"%b\\*"' % (keys, re.escape(subject.encode())))


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Words as places in the sieve: the upper bits of their products with an odd number."""
    return (words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - SIEVE)


def _fragments(text: str) -> Iterator[bytes]:
    """Pieces of a text as they stand in files: from bytes that nothing escapes, else as text and as JSON's escapes."""
    raw = text.encode("utf-8", "surrogatepass")
    runs = [match.group() for match in PLAIN.finditer(raw)]
    if not runs:
        runs = [raw, json.dumps(text)[1:-1].encode()]
    count = 0
    for run in runs:
        for start in range(0, len(run) - WIDTH + 1, WIDTH):
            if count == MOST_FRAGMENTS:
                return
            count += 1
            yield run[start : start + WIDTH]


def _texts(value: Any) -> Iterator[str]:
    """The texts in JSON that may be a person's words."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in cast("Sequence[Any]", value):
            yield from _texts(each)
    elif isinstance(value, Mapping):
        parts = cast("Mapping[str, Any]", value)
        if parts.get("role") not in INSTRUCTIONS:
            for key, each in parts.items():
                if key not in STRUCTURE or not isinstance(each, str):
                    yield from _texts(each)
