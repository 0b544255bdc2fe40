"""Dumps: the rows of every table as they were at one moment, from any database, and back into any other."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import orjson
from sqlalchemy import Connection, MetaData, Table, create_engine, delete, func, insert, select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import StorageError
from stillhouse.storage.migrate import migrate
from stillhouse.storage.tables import IDENTITY, METADATA

__all__ = ["copy_sqlite", "counts", "empty", "fill", "lines", "opened", "read_lines", "rows", "tables", "write_rows"]

TOGETHER = 1_000
"""Rows that are read or written at once."""

PAGES = 4_096
"""Pages that are copied at once."""

Row = Mapping[str, Any]


def tables() -> list[Table]:
    """The tables that are dumped, those first that others refer to; what a database is called stays its own."""
    return [table for table in METADATA.sorted_tables if table is not IDENTITY]


def copy_sqlite(source: Path, target: Path, told: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Copy a SQLite file as it is at this moment, whoever writes into it meanwhile; nobody waits for that.

    `told` hears how many pages are done, of how many.
    """
    try:
        with (
            closing(sqlite3.connect(source, isolation_level=None)) as reading,
            closing(sqlite3.connect(target)) as copy,
        ):
            reading.execute("PRAGMA query_only = ON")
            reading.execute("BEGIN")  # holds the moment, so that no write from outside makes the copy begin anew
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
            reading.backup(copy, pages=PAGES, progress=lambda status, left, total: told(total - left, total))
            reading.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise StorageError(f"{source} cannot be copied: {error}.") from error


@contextmanager
def opened(file: Path, form: str | None = None) -> Generator[Connection]:
    """A SQLite file that nobody else uses, in the form of a migration (the newest unless named), to be written into."""
    engine = create_engine(URL.create("sqlite", database=str(file)))
    try:
        with engine.begin() as connection:
            migrate(connection, form)
            yield connection
    finally:
        engine.dispose()


def fill(connection: Connection, table_name: str, source: Iterable[Row]) -> None:
    """Put rows into a table of a database of whatever form."""
    table = Table(table_name, MetaData(), autoload_with=connection)
    for some in _grouped(source):
        connection.execute(insert(table), some)


def rows(connection: Connection, table: Table) -> Generator[list[Row]]:
    """All rows of a table, some at once."""
    result = connection.execution_options(yield_per=TOGETHER).execute(select(table))
    for some in result.mappings().partitions():
        yield [cast(Row, row) for row in some]


def counts(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    return {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables()}


async def lines(connection: AsyncConnection, table: Table) -> AsyncGenerator[bytes]:
    """All rows of a table, a JSON object each; bytes are told apart from text."""
    async with connection.stream(select(table)) as result:
        async for row in result.mappings():
            yield orjson.dumps({str(name): _told(value) for name, value in row.items()}) + b"\n"


def read_lines(source: Iterable[bytes], name: str) -> Generator[Row]:
    """The same rows read; raises StorageError."""
    for number, line in enumerate(source, 1):
        try:
            yield {key: _read(value) for key, value in orjson.loads(line).items()}
        except (ValueError, AttributeError, KeyError) as error:
            raise StorageError(f"{name}, line {number}: this is no row ({error}).") from error


async def write_rows(connection: AsyncConnection, table: Table, some: Sequence[Row]) -> None:
    """Put rows into a table of the newest form."""
    await connection.execute(insert(table), [dict(row) for row in some])


async def empty(connection: AsyncConnection) -> None:
    """Delete every row."""
    for table in reversed(tables()):
        await connection.execute(delete(table))


def _grouped(source: Iterable[Row]) -> Generator[list[Row]]:
    some: list[Row] = []
    for row in source:
        some.append(row)
        if len(some) == TOGETHER:
            yield some
            some = []
    if some:
        yield some


def _told(value: object) -> object:
    """A value as JSON has it: bytes that are text in UTF-8 can be read in the file, others are in base64."""
    if not isinstance(value, bytes):
        return value
    try:
        return {"utf8": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _read(value: object) -> object:
    if not isinstance(value, dict):
        return value
    told = cast(dict[str, str], value)
    return told["utf8"].encode() if "utf8" in told else base64.b64decode(told["base64"])
