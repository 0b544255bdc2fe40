"""The data sheet of a version: what it holds, where it comes from, what was done to it, what it may be used for.

Its sections follow Gebru et al., "Datasheets for Datasets" (Communications of the ACM 64(12), 2021).
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from stillhouse.data.items import Item
from stillhouse.data.terms import Book, Terms, apart
from stillhouse.data.versions import Version
from stillhouse.reports import figures, pages

__all__ = ["Contents", "Sheet", "render", "tally"]

MOST = 40
"""Labels, languages or teachers that are listed."""

REDACTIONS = ("redact", "pseudonymise", "pseudonymize")
ERASURES = ("erase", "erased")


@final
@dataclass(slots=True)
class Contents:
    """Counts of a version's items; no word of any item, and of people only how many there are."""

    items: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])
    methods: Counter[str] = field(default_factory=Counter[str])
    teachers: Counter[str | None] = field(default_factory=Counter[str | None])
    labels: Counter[str] = field(default_factory=Counter[str])
    languages: Counter[str] = field(default_factory=Counter[str])
    splits: Counter[str] = field(default_factory=Counter[str])
    subjects: set[str] = field(default_factory=set[str])
    conversations: set[str] = field(default_factory=set[str])
    missing: Counter[str] = field(default_factory=Counter[str])
    """How many items lack an answer, a label, a person, a time."""
    media: int = 0
    span: tuple[int, int] | None = None
    """When the first and the last call was made, in Unix seconds."""

    def add(self, item: Item) -> None:
        """Count one item."""
        facts = item.facts
        self.items += 1
        self.kinds[item.kind] += 1
        self.methods[item.source.method] += 1
        self.teachers[item.source.teacher or facts.model] += 1
        for counter, value in ((self.labels, item.label), (self.languages, facts.language), (self.splits, facts.split)):
            if value:
                counter[value] += 1
        self.subjects |= {facts.subject} if facts.subject else set()
        self.conversations |= {facts.conversation} if facts.conversation else set()
        absent = {"answer": item.answer, "label": item.label, "person": facts.subject, "time": facts.created}
        self.missing.update(name for name, value in absent.items() if value is None)
        self.media += len(item.media)
        if facts.created is not None:
            first, last = self.span or (facts.created, facts.created)
            self.span = min(first, facts.created), max(last, facts.created)


@final
@dataclass(frozen=True, slots=True)
class Sheet:
    """All that a data sheet says."""

    version: Version
    contents: Contents
    lineage: Sequence[Version]
    """The version and all that it was made of."""
    book: Book
    purpose: str = ""
    contact: str = ""

    @property
    def terms(self) -> list[tuple[str, int, Terms | None]]:
        """Each teacher with its rows and its terms, None where nobody wrote them down."""
        named = [(name, rows) for name, rows in apart(self.contents.teachers, self.book).most_common() if name]
        return [(name, rows, self.book.find(name)) for name, rows in named]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        contents = self.contents
        return {
            "version": self.version.reference,
            "hash": self.version.hash,
            "items": contents.items,
            "dropped": self.version.dropped,
            "kinds": dict(contents.kinds),
            "methods": dict(contents.methods),
            "teachers": {name or "": rows for name, rows in contents.teachers.items()},
            "labels": dict(contents.labels.most_common()),
            "languages": dict(contents.languages.most_common()),
            "splits": dict(contents.splits),
            "people": len(contents.subjects),
            "conversations": len(contents.conversations),
            "missing": dict(contents.missing),
            "media": contents.media,
            "from": _day(contents.span[0]) if contents.span else None,
            "to": _day(contents.span[1]) if contents.span else None,
            "lineage": [{"version": each.reference, **each.step.to_json()} for each in self.lineage],
            "terms": [terms.to_json() if terms else {"teacher": name} for name, _, terms in self.terms],
        }


def tally(items: Iterable[Item]) -> Contents:
    """The counts of some items."""
    contents = Contents()
    for item in items:
        contents.add(item)
    return contents


def render(sheet: Sheet) -> str:
    """The sheet as Markdown; texts from outside cannot break out of their line."""
    filters = {"words": _words, "listed": _listed, "day": _day, "settings": _settings}
    steps = list(reversed(sheet.lineage))
    page = pages.open_template("data_sheet.md.jinja", autoescape=False, filters=filters).render(
        sheet=sheet,
        version=sheet.version,
        contents=sheet.contents,
        steps=steps,
        redactions=[each for each in steps if each.step.verb in REDACTIONS],
        erasures=[each for each in steps if each.step.verb in ERASURES],
    )
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def _words(text: str, limit: int = 200) -> str:
    """A foreign text on one line, with what Markdown or HTML would act on escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#&$~])", r"\\\1", figures.shorten(text, limit))


def _listed(counts: Counter[Any]) -> str:
    """Names with their counts, the commonest first."""
    shown = [f"{_words(str(name or 'nobody named'), 80)} {count:,}" for name, count in counts.most_common(MOST)]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _day(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d")


def _settings(told: Mapping[str, Any]) -> str:
    """Plain settings of a step in one line."""
    return "; ".join(
        f"{name} {_words(str(value), 120)}" for name, value in told.items() if value not in (None, "", [], {})
    )
