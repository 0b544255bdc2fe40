"""Backup: everything that is kept, as it is at one moment, in one archive, while servers go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Row, Select, select, union

import stillhouse
from stillhouse.errors import StorageError, UsageError
from stillhouse.storage.archive import ArchiveWriter, Manifest
from stillhouse.storage.dataset_records import version_folder
from stillhouse.storage.dump import copy_sqlite, counts, lines, opened, tables
from stillhouse.storage.file_records import Blob
from stillhouse.storage.migrate import NEWEST
from stillhouse.storage.store import Store
from stillhouse.storage.tables import DATASET_MEDIA, DATASET_VERSIONS, FILES, TUNED_MODELS, UPLOAD_PARTS

__all__ = ["AT_HOME", "DATABASE", "JOBS", "Told", "backup"]

DATABASE = "database/stillhouse.db"
"""The member that is a SQLite database; of PostgreSQL there is one of JSON lines for each table."""

AT_HOME = ("stillhouse.toml",)
"""Files of the home folder that are kept as well."""

JOBS = "dbos.sqlite"
"""What workers have done, beside a SQLite database."""

Told = Callable[[str, int], None]
"""Hears what is being done, and how many bytes of it were done since."""


@dataclass(slots=True)
class Moment:
    """What the database says at the moment of the backup: rows by table, the bytes of files, folders of models and of
    versions of datasets."""

    tables: dict[str, int] = field(default_factory=dict[str, int])
    blobs: list[Blob] = field(default_factory=list[Blob])
    folders: list[str] = field(default_factory=list[str])


async def backup(store: Store, home: Path, out: Path, told: Told = lambda what, size: None) -> Manifest:
    """Write an archive; raises StorageError, and UsageError when it cannot be written there.

    Nothing that the moment needs is removed meanwhile, and nobody has to wait.
    """
    if out.is_dir():
        raise UsageError(f"{out} is a folder. Name the file that the backup is to become.")
    database = store.database
    writer = ArchiveWriter(out, lambda size: told("Writing", size))
    with writer as archive, store.files.blobs.held(), _room_beside(out) as room:
        if database.is_sqlite:
            moment = _add_sqlite(archive, home, Path(database.url.database or ""), room, told)
        else:
            moment = await _add_tables(archive, store, room)
        for blob in moment.blobs:
            with store.files.blobs.open(blob) as source:
                archive.add(f"blobs/{blob.digest}", source, blob.bytes)
        for folder in moment.folders:
            _add_folder(archive, home, folder)
        for name in AT_HOME:
            if (home / name).is_file():
                archive.add_file(f"home/{name}", home / name)
        kind = "sqlite" if database.is_sqlite else "postgresql"
        return archive.finish(Manifest(stillhouse.__version__, int(time.time()), kind, NEWEST, moment.tables))


def _add_sqlite(archive: ArchiveWriter, home: Path, file: Path, room: Path, told: Told) -> Moment:
    """Add a copy of the database, and before it of what workers have done: what both say then was once so."""
    jobs = home / JOBS
    if jobs.is_file():
        copy_sqlite(jobs, room / JOBS)
        archive.add_file(f"home/{JOBS}", room / JOBS)
    copy = room / "stillhouse.db"
    copy_sqlite(file, copy, lambda done, total: told("Copying the database", 0))
    with opened(copy) as connection:
        moment = Moment(
            tables=counts(connection),
            blobs=_blobs(connection.execute(_blob_query()).all()),
            folders=_folders(
                connection.execute(_model_query()).all(), connection.execute(select(DATASET_VERSIONS)).all()
            ),
        )
    archive.add_file(DATABASE, copy)
    copy.unlink()
    return moment


async def _add_tables(archive: ArchiveWriter, store: Store, room: Path) -> Moment:
    """Add the rows of every table, all as they are at one moment."""
    moment = Moment()
    async with store.database.snapshot() as connection:
        moment.blobs = _blobs((await connection.execute(_blob_query())).all())
        models = (await connection.execute(_model_query())).all()
        moment.folders = _folders(models, (await connection.execute(select(DATASET_VERSIONS))).all())
        for table in tables():
            file = room / f"{table.name}.jsonl"
            moment.tables[table.name] = 0
            with file.open("wb") as written:
                async for line in lines(connection, table):
                    written.write(line)
                    moment.tables[table.name] += 1
            archive.add_file(f"database/{file.name}", file)
            file.unlink()
    return moment


def _add_folder(archive: ArchiveWriter, home: Path, folder: str) -> None:
    """Add the files of a dataset, or of a model that a job made but for those that came with the model around it."""
    place = (home / folder).resolve()
    if not place.is_relative_to(home.resolve()):
        raise StorageError(f"{place} is kept, but outside of the home folder {home}. Put it there to have it kept.")
    try:
        for path in sorted(place.rglob("*")):
            name = f"home/{path.relative_to(home.resolve()).as_posix()}"
            if path.is_file() and name not in archive:
                archive.add_file(name, path)
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error}. Was it just deleted? Try again.") from error


def _blob_query() -> Any:
    """The bytes of all files, parts of uploads and items of datasets, each once."""
    tables_with = (FILES, UPLOAD_PARTS, DATASET_MEDIA)
    return union(*[select(table.c.digest, table.c.bytes) for table in tables_with]).order_by("digest")


def _model_query() -> Select[tuple[str]]:
    return select(TUNED_MODELS.c.folder).distinct().order_by(TUNED_MODELS.c.folder)


def _folders(models: Any, versions: Any) -> list[str]:
    """The folders of models that jobs made, and of versions of datasets."""
    made: list[str] = [row.folder for row in models]
    return [*made, *(version_folder(row.project, (row.name, row.number)) for row in versions)]


def _blobs(rows: Any) -> list[Blob]:
    found: list[Row[Any]] = list(rows)
    return [Blob(row.digest, row.bytes) for row in found]


@contextmanager
def _room_beside(out: Path) -> Generator[Path]:
    """A folder beside the archive, for what has to be whole before it is added."""
    with TemporaryDirectory(prefix=".stillhouse-", dir=out.parent) as room:
        yield Path(room)
