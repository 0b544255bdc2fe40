"""Work: orders that wait for a worker, and the workers that are alive to take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.database import Database
from stillhouse.storage.ids import new_id
from stillhouse.storage.tables import WORK_ORDERS, WORKERS
from stillhouse.storage.writer import Writer

__all__ = ["Order", "Orders", "Worker", "Workers", "place_order"]


@dataclass(frozen=True, slots=True)
class Order:
    """A workflow to be begun, by its name, with its one argument."""

    id: str
    workflow: str
    argument: str


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that does work. One that does not count further, or `ended`, leaves its work to others.

    `place` is what no two living processes have at once.
    """

    id: str
    place: str
    beats: int
    ended: bool


async def place_order(connection: AsyncConnection, workflow: str, argument: str) -> Order:
    """Order work within a transaction, so that it is ordered exactly when what it is about is kept."""
    order = Order(new_id("order_"), workflow, argument)
    row = {"id": order.id, "workflow": order.workflow, "argument": order.argument}
    await connection.execute(insert(WORK_ORDERS), [row])
    return order


@final
class Orders:
    """The orders of a database."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def place(self, workflow: str, argument: str) -> Order:
        """Order work."""

        async def change(connection: AsyncConnection) -> Order:
            return await place_order(connection, workflow, argument)

        return await self._writer.change(change)

    async def waiting(self, most: int = 100) -> list[Order]:
        """The oldest orders that no queue has yet."""
        query = select(WORK_ORDERS).order_by(WORK_ORDERS.c.id).limit(most)
        async with self._database.reading() as connection:
            return [Order(row.id, row.workflow, row.argument) for row in await connection.execute(query)]

    async def taken(self, order: Order) -> None:
        """Forget an order that is in a queue now."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(WORK_ORDERS).where(WORK_ORDERS.c.id == order.id))

        await self._writer.change(change)


@final
class Workers:
    """The workers of a database."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def join(self, worker_id: str, place: str) -> None:
        """A worker more."""

        async def change(connection: AsyncConnection) -> None:
            row = {"id": worker_id, "place": place, "beats": 0, "ended": False}
            await connection.execute(insert(WORKERS), [row])

        await self._writer.change(change)

    async def beat(self, worker_id: str) -> bool:
        """Count one further; False for a worker that others have taken for dead."""

        async def change(connection: AsyncConnection) -> bool:
            mine = (WORKERS.c.id == worker_id) & WORKERS.c.ended.is_(False)
            done = await connection.execute(update(WORKERS).where(mine).values(beats=WORKERS.c.beats + 1))
            return done.rowcount > 0

        return await self._writer.change(change)

    async def all(self) -> list[Worker]:
        """Every worker whose work has not been taken over yet."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(WORKERS).order_by(WORKERS.c.id))
            return [Worker(row.id, row.place, row.beats, bool(row.ended)) for row in rows]

    async def end(self, worker: Worker) -> bool:
        """Take one for dead, unless it has counted on since it was seen; whether it is to be taken for dead."""

        async def change(connection: AsyncConnection) -> bool:
            seen = (WORKERS.c.id == worker.id) & (WORKERS.c.beats == worker.beats)
            done = await connection.execute(update(WORKERS).where(seen).values(ended=True))
            return done.rowcount > 0

        return await self._writer.change(change)

    async def leave(self, worker_id: str) -> None:
        """A worker ends, and leaves its work to others."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(update(WORKERS).where(WORKERS.c.id == worker_id).values(ended=True))

        await self._writer.change(change)

    async def forget(self, worker_id: str) -> None:
        """A worker whose work others have taken over."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(WORKERS).where(WORKERS.c.id == worker_id))

        await self._writer.change(change)
