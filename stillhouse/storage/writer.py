"""Writer: all that is written goes through one task, many writes to one commit, and is acknowledged by kind."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast, final

from sqlalchemy import Dialect, Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import StorageBusy, StorageError
from stillhouse.storage.database import Database, is_deadlock, trouble
from stillhouse.storage.records import Durability

__all__ = ["Change", "Limits", "Rows", "Values", "Writer"]

Values = tuple[str | int | bytes | None, ...]
Rows = Mapping[Table, Sequence[Values]]
"""New rows by their table, each with a value for every column, in the order in which these are declared."""

TRIES = 5
"""How often one write is tried that other programs and it kept from going on."""

PAUSE = 0.02
"""Seconds before the next try."""

Result = TypeVar("Result")
Change = Callable[[AsyncConnection], Awaitable[Result]]
"""Anything else that is written: it is called in a transaction, and must raise only when that has to be undone."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait for the disk, and how much goes into one commit."""

    writes: int = 10_000
    bytes: int = 64 * 2**20
    together: int = 1_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A write that waits: its rows or its change, what it weighs, and whom to tell."""

    work: Rows | Change[Any]
    bytes: int
    done: asyncio.Future[Any] | None


@final
class Writer:
    """Writes in the order in which it was asked to. While one commit is made, the next one gathers.

    It belongs to one event loop, and `close` writes what still waits.
    """

    def __init__(
        self, database: Database, durability: Durability = Durability.BATCH, limits: Limits | None = None
    ) -> None:
        self.durability = durability
        self._database, self._limits = database, limits or Limits()
        self._queue: deque[Waiting] = deque()
        self._writes = self._bytes = 0  # what waits or is being committed
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def admit(self) -> None:
        """Raise StorageBusy when new work had better not begin, because its rows would have to wait too long."""
        self._refuse_beyond(1)

    async def insert(self, rows: Rows, size: int) -> None:
        """Add rows of about `size` bytes; back when they are as durable as was chosen.

        Raises StorageBusy at twice the limits (what `admit` let in finds room), and StorageError when the database
        does not take them; when ASYNC, that is only logged.
        """
        self._refuse_beyond(2)
        done = self._put(rows, size, told=self.durability != Durability.ASYNC)
        if done:
            await done

    async def change(self, work: Change[Result]) -> Result:
        """What a change returns once it is on the disk, whatever the durability; raises StorageError."""
        done = self._put(work, 0, told=True)
        assert done is not None
        return cast(Result, await done)

    async def settled(self) -> None:
        """Back when all that was asked for before can be read; at once unless rows are acknowledged early."""
        if self.durability == Durability.ASYNC and self._task and not self._task.done():
            await self.change(_nothing)

    async def close(self) -> None:
        """Write what waits, and take no more."""
        self._closed = True
        if self._task:
            await self._task

    def _refuse_beyond(self, times: int) -> None:
        if self._writes >= times * self._limits.writes or self._bytes >= times * self._limits.bytes:
            raise StorageBusy(f"{self._writes} writes wait for the database already. Try again later.")

    def _put(self, work: Rows | Change[Any], size: int, told: bool) -> asyncio.Future[Any] | None:
        if self._closed:
            raise StorageError("The database is closed: the server is about to end.")
        done: asyncio.Future[Any] | None = asyncio.get_running_loop().create_future() if told else None
        self._queue.append(Waiting(work, size, done))
        self._writes += 1
        self._bytes += size
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name="storage-writer")
        return done

    async def _drain(self) -> None:
        largest = 1 if self.durability == Durability.SYNC else self._limits.together
        while self._queue:
            group = [self._queue.popleft() for _ in range(min(largest, len(self._queue)))]
            await self._commit(group)
            self._writes -= len(group)
            self._bytes -= sum(waiting.bytes for waiting in group)

    async def _commit(self, group: Sequence[Waiting], tries: int = TRIES) -> bool:
        """One transaction for a group; when it fails, one for each of it, so that only the guilty are told so.

        Servers that share PostgreSQL may come to wait for each other: it undoes one, which is tried again.

        Returns whether a transaction could begin: where none can, nobody waits for the next attempt.
        """
        begun = False
        try:
            async with self._database.writing() as connection:
                begun = True
                results = await _apply(connection, group)
        except Exception as error:
            if begun and len(group) > 1:
                await self._commit_each(group)
                return True
            if begun and tries > 1 and is_deadlock(error):
                await asyncio.sleep(PAUSE)
                return await self._commit(group, tries - 1)
            failure = error if isinstance(error, StorageError) else trouble("The database was not written", error)
            _fail(group, failure)
            return begun
        for waiting, result in zip(group, results, strict=True):
            if waiting.done and not waiting.done.done():  # one whose caller has gone is cancelled
                waiting.done.set_result(result)
        return True

    async def _commit_each(self, group: Sequence[Waiting]) -> None:
        for number, waiting in enumerate(group):
            if not await self._commit([waiting]):
                _fail(group[number + 1 :], StorageError("The database was not written: it has gone."))
                return


async def _apply(connection: AsyncConnection, group: Sequence[Waiting]) -> list[Any]:
    """What each of a group returns; rows that follow each other go in together."""
    results: list[Any] = []
    gathered: dict[Table, list[Values]] = {}
    for waiting in group:
        if callable(waiting.work):
            await _insert(connection, gathered)
            results.append(await waiting.work(connection))
        else:
            for table, rows in waiting.work.items():
                gathered.setdefault(table, []).extend(rows)
            results.append(None)
    await _insert(connection, gathered)
    return results


async def _insert(connection: AsyncConnection, gathered: dict[Table, list[Values]]) -> None:
    """Add rows as the driver takes them: SQLAlchemy's way through dicts takes twice the time of a row (measured)."""
    for table, rows in gathered.items():
        if not rows:
            continue
        statement = _statement(table, connection.dialect)
        if connection.dialect.name == "sqlite":  # one way to SQLite's thread and back instead of three
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.executemany(statement, rows)
        else:
            await connection.exec_driver_sql(statement, rows)
    gathered.clear()


@lru_cache(maxsize=64)
def _statement(table: Table, dialect: Dialect) -> str:
    return str(insert(table).compile(dialect=dialect))


async def _nothing(connection: AsyncConnection) -> None:
    """Changes nothing: whoever waits for it waits for all that was asked for before."""


def _fail(group: Sequence[Waiting], error: StorageError) -> None:
    for waiting in group:
        if waiting.done is None:
            logging.getLogger("stillhouse.storage").error("Rows that were acknowledged already are lost. %s", error)
        elif not waiting.done.done():
            waiting.done.set_exception(StorageError(str(error)))
