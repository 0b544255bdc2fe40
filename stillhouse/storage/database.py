"""Database: SQLite in the home folder, or PostgreSQL by URL; opened, brought to the newest form, read and written."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from secrets import token_hex
from typing import Any, final

from sqlalchemy import Connection, event, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from stillhouse.errors import StorageError, UsageError
from stillhouse.extras import require
from stillhouse.storage.migrate import migrate
from stillhouse.storage.tables import IDENTITY

__all__ = ["FILE", "Database", "database_url", "is_deadlock", "trouble"]

FILE = "stillhouse.db"
"""The name of the SQLite file in the home folder."""

READERS = 4
"""Connections that read at the same time; one more writes."""

SECONDS = 30
"""How long a write waits for another program that writes into the same SQLite file."""

FAILURES = (SQLAlchemyError, OSError, sqlite3.Error)
"""What drivers and SQLAlchemy raise when a database cannot be had or does not do what it is told."""

DEADLOCK = "40P01"
"""What PostgreSQL calls transactions that wait for each other."""

PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",  # what is committed is on the disk, also when the power fails
    "foreign_keys": "ON",
    "temp_store": "MEMORY",
    "cache_size": "-32768",  # KiB
    "wal_autocheckpoint": "4000",  # pages of 4 KiB
    "journal_size_limit": str(64 * 2**20),
}


@final
class Database:
    """Connections to one database. `reading` and `writing` are all it does; what is read and written is told elsewhere.

    Writing goes through one connection: whoever writes keeps the next writer waiting (see `Writer`).
    """

    def __init__(self, url: URL, readers: AsyncEngine, writer: AsyncEngine) -> None:
        self.url = url
        self._readers, self._writer = readers, writer

    @classmethod
    async def open(cls, url: URL) -> Database:
        """Connect, make what is missing, and bring the tables to the newest form.

        `url` comes from `database_url`. Raises StorageError when there is no way in, or the database is not one of
        ours or of a newer Stillhouse; MissingExtra when PostgreSQL's driver is not installed.
        """
        sqlite = url.get_backend_name() == "sqlite"
        if sqlite:
            _make_place(Path(url.database or ""))
        else:
            require("postgres", "keep calls in PostgreSQL")
        engine = _sqlite if sqlite else _postgres
        database = cls(url, readers=engine(url, True), writer=engine(url, False))
        try:
            async with database.writing() as connection:
                await connection.run_sync(migrate)
        except BaseException:
            await database.close()
            raise
        return database

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A connection that reads what is committed by now; raises StorageError."""
        try:
            async with self._readers.connect() as connection:
                yield connection
        except FAILURES as error:
            raise trouble(f"The database {self.name} cannot be read", error) from error

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[AsyncConnection]:
        """A connection to PostgreSQL that sees what is committed at its first look, and nothing that comes later."""
        async with self.reading() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction: on the disk when left, undone when left with an error; raises StorageError."""
        try:
            async with self._writer.begin() as connection:
                yield connection
        except FAILURES as error:
            raise trouble(f"The database {self.name} cannot be written", error) from error

    async def identity(self) -> str:
        """What this database is called among others that share a home folder."""
        async with self.reading() as connection:
            return (await connection.execute(select(IDENTITY.c.id))).scalar_one()

    @property
    def name(self) -> str:
        """Which database it is, without its password."""
        return self.url.database or "" if self.is_sqlite else self.url.render_as_string(hide_password=True)

    async def close(self) -> None:
        """Close every connection."""
        await self._readers.dispose()
        await self._writer.dispose()


def database_url(given: str | None, home: Path) -> URL:
    """The URL of a database: `sqlite:///FILE`, `postgresql://...`, or None for the file in the home folder.

    Raises UsageError for any other.
    """
    if given is None:
        return URL.create("sqlite+aiosqlite", database=str((home / FILE).absolute()))
    forms = "It looks like sqlite:///calls.db or postgresql://user:password@host/name"
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise UsageError(f"--database {given!r} is not the URL of a database. {forms}") from error
    match url.get_backend_name():
        case "sqlite":
            if not url.database or url.database == ":memory:":
                raise UsageError(f"--database {given}: SQLite needs a file, so that calls survive. {forms}")
            return url.set(drivername="sqlite+aiosqlite", database=str(Path(url.database).absolute()))
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+asyncpg")
        case other:
            raise UsageError(f"--database: {other!r} is no kind of database that is known here. {forms}")


def trouble(what: str, error: Exception) -> StorageError:
    """A StorageError that says why in one line, without SQL and without the values that were to be written."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0].rpartition(">: ")[2]
    return StorageError(f"{what}: {reason.rstrip('.')}.")


def is_deadlock(error: Exception) -> bool:
    """Whether PostgreSQL undid a transaction because it and another waited for each other: once more, it may pass."""
    cause = error.__cause__ if isinstance(error, StorageError) else error
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", None) == DEADLOCK


def _sqlite(url: URL, reads: bool) -> AsyncEngine:
    """Connections to a SQLite file: many that only read, or one that writes."""
    engine = create_async_engine(
        url,
        pool_size=READERS if reads else 1,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": SECONDS},
        pool_reset_on_return=None,  # every transaction has ended before: that is one way to the thread less
    )

    def prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None  # transactions begin and end where we say
        cursor = connection.cursor()
        for name, value in PRAGMAS.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        if reads:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    def take_over(driver: Any) -> Any:
        return driver.execute("BEGIN IMMEDIATE")

    def begin(connection: Connection) -> None:
        raw: Any = connection.connection.dbapi_connection
        raw.run_async(take_over)

    event.listen(engine.sync_engine, "connect", prepare)
    if not reads:
        event.listen(engine.sync_engine, "begin", begin)
    return engine


def _postgres(url: URL, reads: bool) -> AsyncEngine:
    """Connections to PostgreSQL; one that was lost is replaced by the next use."""
    return create_async_engine(
        url,
        pool_size=READERS if reads else 1,
        max_overflow=0,
        hide_parameters=True,
        pool_pre_ping=True,
        connect_args={"timeout": SECONDS, "command_timeout": 4 * SECONDS},
        isolation_level="AUTOCOMMIT" if reads else "READ COMMITTED",
    )


def _make_file(file: Path) -> None:
    """An empty database that is in its journal mode from its first moment: several at once cannot change it."""
    waiting = file.with_name(f".{file.name}.{token_hex(4)}")
    waiting.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(waiting)) as made:
            made.execute(f"PRAGMA journal_mode = {PRAGMAS['journal_mode']}")
        os.link(waiting, file)
    except FileExistsError:
        pass  # another was quicker
    except (OSError, sqlite3.Error):
        file.touch(mode=0o600)
    finally:
        waiting.unlink(missing_ok=True)


def _make_place(file: Path) -> None:
    """The folder and the empty file of a new database, for its owner only; SQLite makes its other files alike."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _make_file(file)
    except OSError as error:
        raise StorageError(
            f"The database {file} cannot be made: {error.strerror}. "
            "Choose another place: --home FOLDER, or --database URL."
        ) from error
