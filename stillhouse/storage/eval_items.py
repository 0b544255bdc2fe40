"""EvalItems: the rows of runs that are done, each kept and counted once, whoever brings it and however often."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.database import Database
from stillhouse.storage.eval_records import DoneItem, ItemStatus, StoredItem
from stillhouse.storage.eval_runs import read_counts, write_counts
from stillhouse.storage.pages import Place, large_rows
from stillhouse.storage.records import Cut, Page
from stillhouse.storage.sealing import Place as BodyPlace
from stillhouse.storage.tables import EVAL_ITEMS, EVAL_RUNS
from stillhouse.storage.vault import Sealer, Vault
from stillhouse.storage.writer import Writer

__all__ = ["EvalItems"]


@final
class EvalItems:
    """The done items of a database's runs, in the order of their rows; encrypted where there is a vault."""

    def __init__(self, database: Database, writer: Writer, vault: Vault | None = None) -> None:
        self._database, self._writer, self._vault = database, writer, vault

    async def add(self, run_id: str, done: Sequence[DoneItem]) -> bool:
        """Keep items and count them, in one commit, those that are there already left out.

        False, and nothing kept, when the run is no longer in progress.
        """
        sealer = await self._sealer(run_id)

        async def change(connection: AsyncConnection) -> bool:
            mine = EVAL_RUNS.c.id == run_id
            query = select(EVAL_RUNS.c.status, EVAL_RUNS.c.counts).where(mine).with_for_update()
            run = (await connection.execute(query)).first()
            if run is None or run.status != "in_progress":
                return False
            rows = [each.item.row for each in done]
            there = select(EVAL_ITEMS.c.row).where(EVAL_ITEMS.c.run_id == run_id, EVAL_ITEMS.c.row.in_(rows))
            kept = {row[0] for row in (await connection.execute(there)).all()}
            counts, values = read_counts(run.counts), list[dict[str, Any]]()
            for each in done:
                if each.item.row not in kept:
                    kept.add(each.item.row)
                    counts += each.counts
                    values.append(_values(run_id, each.item, sealer))
            if values:
                await connection.execute(insert(EVAL_ITEMS), values)
                await connection.execute(update(EVAL_RUNS).where(mine).values(counts=write_counts(counts)))
            return True

        return await self._writer.change(change)

    async def done(self, run_id: str) -> set[int]:
        """The numbers of the rows of a run that are done."""
        query = select(EVAL_ITEMS.c.row).where(EVAL_ITEMS.c.run_id == run_id)
        async with self._database.reading() as connection:
            return {row[0] for row in (await connection.execute(query)).all()}

    async def get(self, run_id: str, item_id: str) -> StoredItem | None:
        """One by its id, None when there is none."""
        query = select(EVAL_ITEMS).where(EVAL_ITEMS.c.run_id == run_id, EVAL_ITEMS.c.id == item_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else (await self._opened(run_id, [_item(row)]))[0]

    async def page(self, run_id: str, asked: Cut, status: ItemStatus | None = None) -> Page[StoredItem] | None:
        """Some of a run's items, of one status or all; None when the one to go on after never was."""
        wanted = EVAL_ITEMS.c.run_id == run_id
        if status is not None:
            wanted &= EVAL_ITEMS.c.status == status
        async with self._database.reading() as connection:
            after: Place | None = None
            if asked.after is not None:
                place = select(EVAL_ITEMS.c.row).where(EVAL_ITEMS.c.run_id == run_id, EVAL_ITEMS.c.id == asked.after)
                number = (await connection.execute(place)).scalar()
                if number is None:
                    return None
                after = number, asked.after
            by = EVAL_ITEMS.c.row, EVAL_ITEMS.c.id
            found = await large_rows(connection, wanted, EVAL_ITEMS.c.content, by, asked, after)
        return Page(await self._opened(run_id, [_item(row) for row in found.rows]), found.has_more)

    async def _sealer(self, run_id: str) -> Sealer:
        """What closes the items of a run."""
        if self._vault is None or not await self._vault.is_on():
            return Sealer()
        query = select(EVAL_RUNS.c.project).where(EVAL_RUNS.c.id == run_id)
        async with self._database.reading() as connection:
            project = (await connection.execute(query)).scalar()
        return Sealer() if project is None else (await self._vault.sealers(project, [(None, int(time.time()))]))[0]

    async def _opened(self, run_id: str, items: list[StoredItem]) -> list[StoredItem]:
        if self._vault is None:
            return items
        opened = await self._vault.opened([(item.content, _place(run_id, item.row)) for item in items])
        pairs = zip(items, opened, strict=True)
        return [item if content is item.content else replace(item, content=content or b"{}") for item, content in pairs]


def _place(run_id: str, row: int) -> BodyPlace:
    return "", EVAL_ITEMS.name, f"{run_id}/{row}", "content"


def _values(run_id: str, item: StoredItem, sealer: Sealer) -> dict[str, Any]:
    content = sealer.seal(item.content, _place(run_id, item.row))
    return {"run_id": run_id, "row": item.row, "id": item.id, "status": item.status, "content": content}


def _item(row: Row[Any]) -> StoredItem:
    return StoredItem(id=row.id, row=row.row, status=row.status, content=row.content)
