"""Whether a run may learn from what it is given: the terms of all teachers whose answers are in it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from stillhouse import settings
from stillhouse.bundle.manifest import read_manifest
from stillhouse.data.catalogue import Catalogue
from stillhouse.data.parquet import connect
from stillhouse.data.terms import Book, Terms, Use, apart, check_use, teachers_in
from stillhouse.data.versions import is_reference
from stillhouse.errors import StorageError
from stillhouse.recipes.server import read_server_file
from stillhouse.reports.record import TeacherTerms
from stillhouse.storage.database import FILE
from stillhouse.storage.store import Store

if TYPE_CHECKING:
    from stillhouse.recipes.training import TrainRecipe

__all__ = [
    "attributions",
    "check_asked",
    "check_data",
    "check_served",
    "check_training",
    "known_terms",
    "teachers_of_data",
    "terms_beside",
    "terms_of",
    "terms_told",
    "training_terms",
]

RECORD = "record.json"
"""What a run says of itself, in the folder of its student."""
Data = Sequence[str | Path]
"""Files of traffic, Parquet files of versions, or references such as `support@3`."""


async def terms_of(store: Store, home: Path) -> Book:
    """All terms that are known: of the database, and of `stillhouse.toml`, which goes before it, and whose models
    answer for the teachers that it names."""
    file = read_server_file(home)
    kept = {name: Terms.from_json(each) for name, each in (await store.teacher_terms.all()).items()}
    named = {name: file.teachers[name].names for name in kept if name in file.teachers}
    kept |= {name: replace(kept[name], models=(*kept[name].models, *models)) for name, models in named.items()}
    return Book({**kept, **file.terms})


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
    book: Book | None = None,
) -> list[str]:
    """Refuse a use of data that the terms of a teacher forbid: of who answered its rows, or is `asked` in the run.

    Raises TermsForbid; returns notes about teachers whose terms nobody has written down. Where no terms are known at
    all, the data are not read for that. The terms are those of `book`, else those known in the home folder.
    """
    book = known_terms(home, database) if book is None else book
    if not book.terms:
        return []
    rows = teachers_of_data(data, home, database, project)
    return check_use({**dict.fromkeys(asked, 0), **rows}, book, use)


def check_asked(names: Sequence[str], use: Use, home: Path, database: str | None = None) -> list[str]:
    """The same for a teacher that is to be asked, by the names that it has: those of the service and of the model."""
    book = known_terms(home, database)
    known = [name for name in names if book.find(name)]
    return check_use(dict.fromkeys(known or names[:1], 0), book, use)


def check_served(students: Iterable[Path], home: Path, database: str | None) -> list[str]:
    """Refuse to serve students, by their folders, where the terms of any of their teachers forbid that; by
    `stillhouse.toml` alone where the database cannot be had, for which nobody waits."""
    try:
        book = known_terms(home, database)
    except StorageError:
        book = Book(read_server_file(home).terms)
    rows: Counter[str | None] = Counter()
    for student in students:
        rows.update(_taught_by(student, book))
    return check_use(rows, book, Use.SERVE)


def _taught_by(student: Path, book: Book) -> dict[str | None, int]:
    """Who answered how many rows that a student learnt from: all that its record names, and its manifest, which names
    only who answered most of them."""
    manifest = read_manifest(student)
    told: dict[str | None, int] = {str(each["name"]): int(each.get("rows", 0)) for each in terms_beside(student)}
    if set(book.apart(manifest.teacher)) <= set(told):
        return told
    return {**told, manifest.teacher: sum(manifest.run.get("splits", {}).values())}


def terms_told(data: Data, home: Path, asked: Iterable[str] = (), book: Book | None = None) -> tuple[TeacherTerms, ...]:
    """Who answered the rows of a run, or was asked in it, and on which terms, for its record; nothing where no terms
    are known."""
    book = known_terms(home) if book is None else book
    if not book.terms:
        return ()
    counts = Counter({**dict.fromkeys(asked, 0), **apart(teachers_of_data(data, home, None, "default"), book)})
    return tuple(_told(name, rows, book.find(name)) for name, rows in counts.most_common() if name)


def _told(name: str, rows: int, terms: Terms | None) -> TeacherTerms:
    if terms is None:
        return TeacherTerms(name, rows)
    expires = terms.expires.isoformat() if terms.expires else ""
    return TeacherTerms(
        name, rows, tuple(terms.allowed), terms.attribution, expires, terms.licence, terms.source, terms.snapshot
    )


def terms_beside(student: Path) -> tuple[Mapping[str, Any], ...]:
    """On whose terms a student learnt, by the record in its folder; nothing where there is none."""
    try:
        record: Any = orjson.loads((student / RECORD).read_bytes())
        told: Any = record["terms"]
    except (OSError, ValueError, LookupError, TypeError):
        return ()
    listed = cast("list[Any]", told) if isinstance(told, list) else []
    return tuple(cast("Mapping[str, Any]", each) for each in listed if isinstance(each, dict) and "name" in each)


def attributions(terms: Iterable[Mapping[str, Any]]) -> list[str]:
    """The words that some terms want beside whatever is made of the answers, each as a sentence."""
    said = {str(each["attribution"]): str(each["name"]) for each in terms if each.get("attribution")}
    return [f"Attribution that must go with it, for the answers of {name}: {words}" for words, name in said.items()]


def check_training(recipe: TrainRecipe, home: Path) -> list[str]:
    """The same for a training recipe: its rows, and the teachers that it asks."""
    return check_data(_rows_of(recipe), Use.TRAIN, home, asked=_asked_by(recipe))


def training_terms(recipe: TrainRecipe, home: Path) -> tuple[TeacherTerms, ...]:
    """On whose terms a training recipe learns, for its record."""
    return terms_told(_rows_of(recipe), home, _asked_by(recipe))


def _rows_of(recipe: TrainRecipe) -> list[Path]:
    section = recipe.data
    return [each for each in (section.train, section.selection, section.test) if each and each.suffix != ".npz"]


def _asked_by(recipe: TrainRecipe) -> list[str]:
    api = recipe.teacher.api
    return [*recipe.teacher.names, *([api.model] if api else [])]


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
