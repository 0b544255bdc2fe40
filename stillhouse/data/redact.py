"""Redaction: personal data in texts and items taken out, replaced by stand-ins, hashed, or sealed by a key."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast, final

from stillhouse.data.items import Item, text_of
from stillhouse.data.personal.span import How
from stillhouse.data.pii import CERTAIN, NAMED, Span, Type, find
from stillhouse.data.pseudonyms import stand_in
from stillhouse.data.sealing import hashed, seal
from stillhouse.data.subjects import SUBJECT
from stillhouse.errors import UsageError
from stillhouse.wire.words import FIELD, reworded, tree_reworded

__all__ = ["How", "Redactor", "changed_texts", "parse_types", "redacted"]

ROUNDS = 16
"""How often a text is looked through: what was hidden by something longer shows once that is gone."""
HALF = re.compile(r"[\ud800-\udfff]")
"""Half of a character, which JSON can hold as an escape alone."""
FORMS = frozenset(Type) - NAMED - {Type.ADDRESS}
"""What is looked for in labels, where a word with a capital is rather a class than a name."""


@final
@dataclass(frozen=True)
class Redactor:
    """Takes personal data out of texts, one after the other, and counts it by kind."""

    how: How = How.REDACT
    types: frozenset[Type] = CERTAIN
    key: bytes = b""
    """Of the project; only `redact` does without."""
    second: Callable[[str], list[Span]] | None = None
    """What else looks for personal data, such as `Presidio`."""
    counts: Counter[str] = field(default_factory=Counter[str])
    """How much was found, by kind."""

    def __post_init__(self) -> None:
        if self.how is not How.REDACT and len(self.key) < 16:
            raise UsageError(f"To {self.how} personal data takes a key of 16 bytes or more.")

    def text(self, text: str, types: frozenset[Type] | None = None) -> str:
        """A text as it may be kept. One that is JSON stays JSON, and the names in it count as words beside values."""
        types = self.types if types is None else types
        if text[:1] in ("{", "[") and (value := _json(text)) is not None:
            try:
                changed = self._value(value, "", types)
                return text if changed == value else _dumped(changed, text)
            except RecursionError:  # nested deeper than anybody's data: its words are looked through all the same
                pass
        return self._words(text, types)

    def item(self, item: Item) -> Item:
        """An item with all its texts as they may be kept: messages, answers, reasons, labels, tags, metadata."""
        forms = self.types & FORMS
        return changed_texts(item, self.text, lambda text: self.text(text, forms), self.metadata)

    def metadata(self, given: Mapping[str, str]) -> dict[str, str]:
        """Metadata as they may be kept; whom a call is about stays, since by that it is found and erased."""
        return {
            name: value if name == SUBJECT else cast(str, self._value(value, name, self.types))
            for name, value in given.items()
        }

    def _words(self, text: str, types: frozenset[Type]) -> str:
        for _ in range(1 if self.how is How.PSEUDONYMISE else ROUNDS):
            spans = find(text, types, second=self.second)
            if not spans:
                break
            text = self._without(text, spans)
        return text

    def _without(self, text: str, spans: Iterable[Span]) -> str:
        parts: list[str] = []
        done = 0
        for span in spans:
            self.counts[span.type.value] += 1
            parts += [text[done : span.start], self._instead(text[span.start : span.end], span)]
            done = span.end
        return "".join([*parts, text[done:]])

    def _instead(self, value: str, span: Span) -> str:
        kind = span.type.upper()
        if self.how is How.REDACT:
            return f"[{kind}]"
        if self.how is How.PSEUDONYMISE:
            return stand_in(value, span, self.key)
        return (
            f"[{kind}:{hashed(value, kind, self.key)}]"
            if self.how is How.HASH
            else f"[{kind}#{seal(value, kind, self.key)}]"
        )

    def _value(self, value: Any, name: str, types: frozenset[Type]) -> Any:
        return tree_reworded(value, lambda text: self._words(text, types), lambda key: self._key(key, types), name)

    def _key(self, key: str, types: frozenset[Type]) -> str:
        """A key as it may be kept: one that is the name of a field is not taken for anybody's."""
        return self._words(key, types & FORMS if FIELD.fullmatch(key) else types)


def changed_texts(
    item: Item,
    change: Callable[[str], str],
    change_label: Callable[[str], str] | None = None,
    change_metadata: Callable[[Mapping[str, str]], Mapping[str, str]] | None = None,
) -> Item:
    """An item with every text of it changed. Labels and metadata may be changed in a way of their own."""
    of_label = change_label or change

    def message(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if given is None:
            return None
        is_label = item.label is not None and text_of(given) == item.label
        return reworded([given], of_label if is_label else change)[0]

    metadata = item.facts.metadata
    kept = change_metadata(metadata) if change_metadata else {name: change(value) for name, value in metadata.items()}
    return replace(
        item,
        messages=tuple(reworded(item.messages, change)),
        answer=message(item.answer),
        rejected=message(item.rejected),
        label=item.label and of_label(item.label),
        truth=item.truth and of_label(item.truth),
        rationale=item.rationale and change(item.rationale),
        soft={of_label(label): share for label, share in item.soft.items()},
        facts=replace(item.facts, tags=tuple(map(of_label, item.facts.tags)), metadata=kept),
    )


def redacted(items: Iterable[Item], redactor: Redactor, touched: Counter[str] | None = None) -> Iterator[Item]:
    """Items as they may be kept, one by one; `touched` counts those that were changed and the others."""
    for item in items:
        before = redactor.counts.total()
        changed = redactor.item(item)
        if touched is not None:
            touched["changed" if redactor.counts.total() > before else "unchanged"] += 1
        yield changed


def parse_types(names: Collection[str]) -> frozenset[Type]:
    """The kinds that are named, `all` for every one; those looked for by default where none are. Raises UsageError."""
    if not names:
        return CERTAIN
    if "all" in names:
        return frozenset(Type)
    known = {kind.value for kind in Type}
    for name in names:
        if name not in known:
            raise UsageError(f"{name!r} is no kind of personal data. There are: {', '.join(sorted(known))}, and all.")
    return frozenset(map(Type, names))


def _json(text: str) -> Any:
    """The object or list that a text is; None where it is none, or where a name comes twice in it."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _dumped(value: Any, like: str) -> str:
    """JSON laid out as another text is: with its line ends, its spaces and its escapes."""
    compact = (",", ":") if '": ' not in like else (", ", ": ")
    indent = None
    if "\n" in like:
        second = like.split("\n", 2)[1]
        indent, compact = len(second) - len(second.lstrip(" ")), (",", ": ")
    words = json.dumps(value, ensure_ascii=like.isascii(), separators=compact, indent=indent or None)
    return HALF.sub(lambda found: f"\\u{ord(found.group()):04x}", words)
