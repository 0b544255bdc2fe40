"""The terms of teachers, as a job keeps to them: of those who answered its rows, and of a local one that it matches."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from stillhouse.data.terms import Book, Use, check_use, teachers_in
from stillhouse.jobs.course import Site
from stillhouse.jobs.job_folder import JobFolder
from stillhouse.jobs.told import note_event
from stillhouse.recipes.terms import terms_of
from stillhouse.storage.tuning_records import NewEvent
from stillhouse.wire.fine_tuning import NewJob

__all__ = ["FORBIDDEN", "JobTerms", "check_terms"]

FORBIDDEN = "terms_forbidden"
"""The code of a job that the terms of a teacher forbid."""


@final
@dataclass(frozen=True, slots=True)
class JobTerms:
    """On whose terms a job learns."""

    book: Book
    notes: tuple[str, ...] = ()
    """Teachers whose terms nobody has written down."""
    attributions: tuple[str, ...] = ()
    """Words that must go with the model."""

    def events(self) -> list[NewEvent]:
        """What clients are told of it."""
        told = [note_event(f"Attribution that must go with the model: {words}", False) for words in self.attributions]
        return [*(note_event(note, True) for note in self.notes), *told]

    def to_json(self) -> list[dict[str, Any]]:
        """The terms, for the training process."""
        return [terms.to_json() for terms in self.book.terms.values()]


async def check_terms(site: Site, asked: NewJob, folder: JobFolder) -> JobTerms:
    """On whose terms a job learns whose rows are in its folder; raises TermsForbid.

    Asked for is `train`, and `serve` as well, since the model is served as soon as it is there. Where no terms are
    known at all, the rows are not read for that.
    """
    book = await terms_of(site.store, site.home)
    if not book.terms:
        return JobTerms(book)
    files = [path for name in ("train", "valid") if (path := folder.path / f"{name}.jsonl").is_file()]
    local = asked.distillation.teacher if asked.distillation else None
    rows = Counter[str | None]({local: 0} if local else {})
    for path in files:
        rows.update(await asyncio.to_thread(teachers_in, path))
    notes = check_use(rows, book, Use.TRAIN)
    check_use(rows, book, Use.SERVE)
    return JobTerms(book, tuple(notes), tuple(_attributions(book, rows)))


def _attributions(book: Book, names: Iterable[str | None]) -> list[str]:
    apart = [each for name in names for each in book.apart(name or "")]
    return sorted({terms.attribution for terms in book.listed(apart) if terms.attribution})
