"""Restore: what a backup holds, checked to the last byte, put into an empty home folder and its database."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from sqlalchemy import select

from stillhouse.errors import StorageError, UsageError
from stillhouse.storage.archive import Manifest, check_archive, entries
from stillhouse.storage.backup import DATABASE, JOBS
from stillhouse.storage.blobs import Blobs
from stillhouse.storage.dump import empty, fill, opened, read_lines, rows, tables, write_rows
from stillhouse.storage.migrate import NEWEST
from stillhouse.storage.store import Store

__all__ = ["restore", "verify"]

PIECE = 2**20

Told = Callable[[str, int], None]


def verify(archive: Path, told: Told = lambda what, size: None) -> Manifest:
    """Check every hash, the number of rows in each table, and that the bytes of each file are there.

    Touches nothing but a folder of its own; raises StorageError when something is wrong.
    """
    with TemporaryDirectory(prefix="stillhouse-") as room:
        return _stage(archive, Path(room), told)


async def restore(
    archive: Path, home: Path, database: str | None, force: bool = False, told: Told = lambda what, size: None
) -> Manifest:
    """Put everything into a home folder and a database, both empty unless `force` replaces what is there.

    Raises StorageError when the backup is damaged, before anything is touched, and UsageError for a place that is not
    empty. What cannot be finished in an empty home folder leaves it empty.
    """
    fresh = not (home.is_dir() and any(home.iterdir()))
    if not fresh and not force:
        raise UsageError(f"{home} is not empty. Name another --home, or replace what is in it with --force.")
    with TemporaryDirectory(prefix="stillhouse-") as room, _emptied_on_failure(home if fresh else None):
        manifest = _stage(archive, Path(room), told)
        store = await Store.open(database, home)
        try:
            if not force:
                await _need_empty(store)
            with store.files.blobs.held():
                await _unpack(archive, home, store, told)
                await _write(store, Path(room) / "stillhouse.db", told)
        finally:
            await store.close()
    return manifest


def _stage(archive: Path, room: Path, told: Told) -> Manifest:
    """Check an archive; its rows lie in the SQLite file `stillhouse.db` then, in the newest form."""
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}

        def read(name: str, piece: bytes) -> None:
            told("Checking", len(piece))
            if not name.startswith("database/"):
                return
            if name not in files:
                files[name] = stack.enter_context((room / Path(name).name).open("wb"))
            files[name].write(piece)
            if not piece:
                files[name].close()

        manifest = check_archive(archive, read)
    if manifest.form > NEWEST:
        raise StorageError(f"{archive} is of form {manifest.form}, and this Stillhouse knows forms up to {NEWEST}.")
    copy = room / "stillhouse.db"
    try:
        if DATABASE not in manifest.members:
            _build(copy, room, manifest)
        found = _count(copy, manifest)
    except sqlite3.Error as error:
        raise StorageError(f"The database in {archive} is damaged: {error}.") from error
    wrong = {name: count for name, count in manifest.tables.items() if found.get(name) != count}
    if wrong:
        told_of = ", ".join(f"{name} has {found.get(name)} rows instead of {count}" for name, count in wrong.items())
        raise StorageError(f"{archive} is damaged: {told_of}.")
    with opened(copy):
        pass  # that brings it to the newest form
    _check_blobs(archive, copy, manifest)
    return manifest


def _build(copy: Path, room: Path, manifest: Manifest) -> None:
    """A SQLite database from the JSON lines of each table, in the form that they were written in."""
    with opened(copy, manifest.form) as connection:
        for name in manifest.tables:
            with (room / f"{name}.jsonl").open("rb") as source:
                fill(connection, name, read_lines(source, f"{name}.jsonl"))


def _count(copy: Path, manifest: Manifest) -> dict[str, int]:
    """The rows of each table that the manifest names; raises StorageError when SQLite finds its file damaged."""
    with closing(sqlite3.connect(copy)) as connection:
        said = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            raise StorageError(f"The database in the backup is damaged: {said}.")
        there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        names = [name for name in manifest.tables if name in there]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


def _check_blobs(archive: Path, copy: Path, manifest: Manifest) -> None:
    """Raise StorageError when the bytes of a file are not there, or not its own."""
    query = "SELECT digest, bytes FROM files UNION SELECT digest, bytes FROM upload_parts"
    with closing(sqlite3.connect(copy)) as connection:
        for digest, size in connection.execute(query):
            entry = manifest.members.get(f"blobs/{digest}")
            if entry is None or (entry.sha256, entry.bytes) != (digest, size):
                raise StorageError(f"{archive} is damaged: it lacks the bytes of a file ({digest}).")


async def _need_empty(store: Store) -> None:
    async with store.database.reading() as connection:
        for table in tables():
            if (await connection.execute(select(table).limit(1))).first() is not None:
                raise UsageError(
                    f"The database {store.database.name} is not empty: it has {table.name}. Name another with "
                    "--database, or replace what is in it with --force."
                )


async def _unpack(archive: Path, home: Path, store: Store, told: Told) -> None:
    """The bytes of files, and what else lay in the home folder."""
    with entries(archive) as members:
        for name, source, _ in members:
            if name.startswith("blobs/"):
                await _unpack_blob(store.files.blobs, source, told)
            elif name.startswith("home/") and not (name == f"home/{JOBS}" and not store.database.is_sqlite):
                _unpack_file(home / name.removeprefix("home/"), source, told)


async def _unpack_blob(blobs: Blobs, source: IO[bytes], told: Told) -> None:
    async with blobs.draft() as draft:
        while piece := source.read(PIECE):
            await draft.write(piece)
            told("Restoring", len(piece))
        blobs.keep(draft, await draft.seal())


def _unpack_file(place: Path, source: IO[bytes], told: Told) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    waiting = place.with_name(f".{place.name}.restoring")
    with waiting.open("wb") as file:
        while piece := source.read(PIECE):
            file.write(piece)
            told("Restoring", len(piece))
    waiting.chmod(0o600)
    waiting.replace(place)


async def _write(store: Store, copy: Path, told: Told) -> None:
    """All rows, in place of those that are there: all of them or none."""
    with opened(copy) as source:
        async with store.database.writing() as connection:
            await empty(connection)
            for table in tables():
                for some in rows(source, table):
                    await write_rows(connection, table, some)
                    told("Restoring rows", 0)


@contextmanager
def _emptied_on_failure(home: Path | None) -> Generator[None]:
    try:
        yield
    except BaseException:
        if home and home.is_dir():
            for path in home.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
