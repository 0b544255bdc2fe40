"""Whether a run may learn from what it is given: the terms of all teachers whose answers are in it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse import settings
from stillhouse.bundle.manifest import Manifest
from stillhouse.data.catalogue import Catalogue
from stillhouse.data.parquet import connect
from stillhouse.data.terms import Book, Terms, Use, check_use, teachers_in
from stillhouse.data.versions import is_reference
from stillhouse.errors import StorageError
from stillhouse.recipes.server import read_server_file
from stillhouse.reports.record import TeacherTerms
from stillhouse.storage.database import FILE
from stillhouse.storage.store import Store

if TYPE_CHECKING:
    from stillhouse.recipes.training import TrainRecipe

__all__ = [
    "check_asked",
    "check_data",
    "check_served",
    "check_training",
    "known_terms",
    "teachers_of_data",
    "terms_of",
    "terms_told",
]

Data = Sequence[str | Path]
"""Files of traffic, Parquet files of versions, or references such as `support@3`."""


async def terms_of(store: Store, home: Path) -> Book:
    """All terms that are known: of the database, and of `stillhouse.toml`, which goes before it."""
    kept = {name: Terms.from_json(each) for name, each in (await store.teacher_terms.all()).items()}
    return Book({**kept, **read_server_file(home).terms})


def known_terms(home: Path, database: str | None = None) -> Book:
    """The same, without a database where there is none yet."""
    if settings.database(database) is None and not (home / FILE).is_file():
        return Book(read_server_file(home).terms)

    async def look() -> Book:
        store = await Store.open(settings.database(database), home)
        try:
            return await terms_of(store, home)
        finally:
            await store.close()

    return asyncio.run(look())


def teachers_of_data(data: Data, home: Path, database: str | None, project: str) -> Counter[str | None]:
    """How many rows of some data each teacher has answered."""
    counts: Counter[str | None] = Counter()
    for each in data:
        place = Path(each)
        if is_reference(str(each)) and not place.exists():
            place = asyncio.run(_place(str(each), home, database, project))
        counts += _in_parquet(place) if place.suffix == ".parquet" else teachers_in(place)
    return counts


def check_data(
    data: Data,
    use: Use,
    home: Path,
    *,
    asked: Iterable[str] = (),
    database: str | None = None,
    project: str = "default",
) -> list[str]:
    """Refuse a use of data that the terms of a teacher forbid: of who answered its rows, or is `asked` in the run.

    Raises TermsForbid; returns notes about teachers whose terms nobody has written down. Where no terms are known at
    all, the data are not read for that.
    """
    book = known_terms(home, database)
    if not book.terms:
        return []
    rows = teachers_of_data(data, home, database, project)
    return check_use({**dict.fromkeys(asked, 0), **rows}, book, use)


def check_asked(names: Sequence[str], use: Use, home: Path, database: str | None = None) -> list[str]:
    """The same for a teacher that is to be asked, by the names that it has: those of the service and of the model."""
    book = known_terms(home, database)
    known = [name for name in names if book.find(name)]
    return check_use(dict.fromkeys(known or names[:1], 0), book, use)


def check_served(students: Iterable[Manifest], home: Path, database: str | None) -> list[str]:
    """Refuse to serve students where the terms of their teachers forbid that; by `stillhouse.toml` alone where the
    database cannot be had, for which nobody waits."""
    try:
        book = known_terms(home, database)
    except StorageError:
        book = Book(read_server_file(home).terms)
    rows: Counter[str | None] = Counter()
    for student in students:
        rows[student.teacher] += sum(student.run.get("splits", {}).values())
    return check_use(rows, book, Use.SERVE)


def terms_told(data: Data, home: Path) -> tuple[TeacherTerms, ...]:
    """Who answered the rows of a run and on which terms, for its record; nothing where no terms are known."""
    book = known_terms(home)
    if not book.terms:
        return ()
    counts = teachers_of_data(data, home, None, "default")
    return tuple(_told(name, rows, book.find(name)) for name, rows in counts.most_common() if name)


def _told(name: str, rows: int, terms: Terms | None) -> TeacherTerms:
    if terms is None:
        return TeacherTerms(name, rows)
    expires = terms.expires.isoformat() if terms.expires else ""
    return TeacherTerms(
        name, rows, tuple(terms.allowed), terms.attribution, expires, terms.licence, terms.source, terms.snapshot
    )


def check_training(recipe: TrainRecipe, home: Path) -> list[str]:
    """The same for a training recipe: its rows, and the teachers that it asks."""
    section, api = recipe.data, recipe.teacher.api
    data = [each for each in (section.train, section.selection, section.test) if each and each.suffix != ".npz"]
    return check_data(data, Use.TRAIN, home, asked=[*recipe.teacher.names, *([api.model] if api else [])])


async def _place(reference: str, home: Path, database: str | None, project: str) -> Path:
    store = await Store.open(settings.database(database), home)
    try:
        return (await Catalogue(store, home, project).find(reference)).path
    finally:
        await store.close()


def _in_parquet(place: Path) -> Counter[str | None]:
    with connect() as connection:
        query = "SELECT coalesce(teacher, model), count(*) FROM read_parquet(?) GROUP BY 1"
        return Counter(dict(connection.execute(query, [str(place)]).fetchall()))
