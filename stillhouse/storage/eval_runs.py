"""EvalRuns: runs of evals, from queued to their end, and what they have counted so far."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import orjson
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.database import Database
from stillhouse.storage.eval_records import RunCounts, RunStatus, StoredRun
from stillhouse.storage.pages import Query, large_rows, place_of
from stillhouse.storage.records import Cut, Page
from stillhouse.storage.sealing import Place
from stillhouse.storage.tables import DELETED_EVALS, EVAL_ITEMS, EVAL_RUNS, EVALS
from stillhouse.storage.vault import Vault
from stillhouse.storage.work import place_order
from stillhouse.storage.writer import Writer

__all__ = ["WORKFLOW", "EvalRuns", "read_counts", "write_counts"]

WORKFLOW = "eval_run"
"""What workers do for a run, by the name that its order has."""

OPEN: tuple[RunStatus, ...] = ("queued", "in_progress")
"""What a run is before its end."""


@final
class EvalRuns:
    """The runs of a database's evals. A status only goes on: from its end a run never comes back.

    Where there is a vault, what they read is encrypted, for it may be rows that came with them.
    """

    def __init__(self, database: Database, writer: Writer, vault: Vault | None = None) -> None:
        self._database, self._writer, self._vault = database, writer, vault

    async def add(self, project: str, run: StoredRun) -> bool:
        """Keep one, order it to be carried out, and note its eval as changed; False when its eval is gone."""
        values = _values(project, run)
        if self._vault:
            [sealer] = await self._vault.sealers(project, [(None, run.created)])
            values["source"] = sealer.seal(run.source, _place(project, run.id))

        async def change(connection: AsyncConnection) -> bool:
            mine = (EVALS.c.project == project) & (EVALS.c.id == run.eval_id)
            touched = await connection.execute(update(EVALS).where(mine).values(updated=int(time.time())))
            if not touched.rowcount:
                return False
            await connection.execute(insert(EVAL_RUNS), [values])
            await place_order(connection, WORKFLOW, run.id)
            return True

        return await self._writer.change(change)

    async def get(self, project: str, eval_id: str, run_id: str) -> StoredRun | None:
        """One by its id and its eval's, None when there is none."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_one(project, eval_id, run_id))).first()
        return None if row is None else await self._opened(project, _run(row))

    async def find(self, run_id: str) -> tuple[str, StoredRun] | None:
        """One by its id alone, and its project: for those who carry runs out, and who show them to whoever may see."""
        async with self._database.reading() as connection:
            row = (await connection.execute(select(EVAL_RUNS).where(EVAL_RUNS.c.id == run_id))).first()
        return None if row is None else (row.project, await self._opened(row.project, _run(row)))

    async def page(
        self, project: str, eval_id: str, asked: Cut, status: RunStatus | None = None
    ) -> Page[StoredRun] | None:
        """Some of an eval's runs, of one status or all; None when the one to go on after never was."""
        wanted = (EVAL_RUNS.c.project == project) & (EVAL_RUNS.c.eval_id == eval_id)
        if status is not None:
            wanted &= EVAL_RUNS.c.status == status
        async with self._database.reading() as connection:
            after = None
            if asked.after is not None:
                after = await place_of(connection, (EVAL_RUNS, DELETED_EVALS), project, asked.after)
                if after is None:
                    return None
            by = EVAL_RUNS.c.created, EVAL_RUNS.c.id
            found = await large_rows(connection, wanted, EVAL_RUNS.c.source, by, asked, after)
        return Page([await self._opened(project, _run(row)) for row in found.rows], found.has_more)

    async def unfinished(self) -> list[str]:
        """The ids of all runs that are not at their end, oldest first, whosever they are."""
        query = select(EVAL_RUNS.c.id).where(EVAL_RUNS.c.status.in_(OPEN))
        async with self._database.reading() as connection:
            found = await connection.execute(query.order_by(EVAL_RUNS.c.created, EVAL_RUNS.c.id))
            return list(found.scalars())

    async def status(self, run_id: str) -> RunStatus | None:
        """How far one is, None when it is gone."""
        async with self._database.reading() as connection:
            return (await connection.execute(select(EVAL_RUNS.c.status).where(EVAL_RUNS.c.id == run_id))).scalar()

    async def move(self, run_id: str, status: RunStatus, error: tuple[str, str] | None = None) -> bool:
        """Bring one that is before its end on to a status; False when it is at its end already, or gone."""

        async def change(connection: AsyncConnection) -> bool:
            mine = (EVAL_RUNS.c.id == run_id) & EVAL_RUNS.c.status.in_(OPEN)
            told = None if error is None else orjson.dumps(error)
            moved = await connection.execute(update(EVAL_RUNS).where(mine).values(status=status, error=told))
            return bool(moved.rowcount)

        return await self._writer.change(change)

    async def choose(self, run_id: str, completions: Sequence[str]) -> Sequence[str]:
        """Note which stored completions a run reads, once: a run that goes on reads those it began with."""

        async def change(connection: AsyncConnection) -> Sequence[str]:
            mine = EVAL_RUNS.c.id == run_id
            chosen = (await connection.execute(select(EVAL_RUNS.c.chosen).where(mine))).scalar()
            if chosen is not None:
                return orjson.loads(chosen)
            await connection.execute(update(EVAL_RUNS).where(mine).values(chosen=orjson.dumps(list(completions))))
            return completions

        return await self._writer.change(change)

    async def chosen(self, run_id: str) -> Sequence[str] | None:
        """The stored completions that a run reads, None where it has not chosen yet."""
        async with self._database.reading() as connection:
            chosen = (await connection.execute(select(EVAL_RUNS.c.chosen).where(EVAL_RUNS.c.id == run_id))).scalar()
        return None if chosen is None else orjson.loads(chosen)

    async def delete(self, project: str, eval_id: str, run_id: str) -> bool:
        """Forget one with its items, but for where it stood; whether it was there."""

        async def change(connection: AsyncConnection) -> bool:
            row = (await connection.execute(_one(project, eval_id, run_id))).first()
            if row is None:
                return False
            await connection.execute(delete(EVAL_ITEMS).where(EVAL_ITEMS.c.run_id == run_id))
            await connection.execute(delete(EVAL_RUNS).where(EVAL_RUNS.c.id == run_id))
            stood = {"project": project, "id": run_id, "created": row.created, "updated": row.created}
            await connection.execute(insert(DELETED_EVALS), [stood])
            return True

        return await self._writer.change(change)

    async def _opened(self, project: str, run: StoredRun) -> StoredRun:
        if self._vault is None:
            return run
        [source] = await self._vault.opened([(run.source, _place(project, run.id))])
        return run if source is run.source else replace(run, source=source or b"{}")


def read_counts(kept: bytes) -> RunCounts:
    """Counts from the form they are kept in."""
    told = orjson.loads(kept)
    criteria = {name: tuple(each) for name, each in told["criteria"].items()}
    usage = {name: tuple(each) for name, each in told["usage"].items()}
    return RunCounts(tuple(told["items"]), criteria, usage)


def write_counts(counts: RunCounts) -> bytes:
    """Counts in the form they are kept in."""
    told = {"items": counts.items, "criteria": dict(counts.criteria), "usage": dict(counts.usage)}
    return orjson.dumps(told)


def _place(project: str, run_id: str) -> Place:
    return project, EVAL_RUNS.name, run_id, "source"


def _one(project: str, eval_id: str, run_id: str) -> Query:
    mine = (EVAL_RUNS.c.project == project) & (EVAL_RUNS.c.eval_id == eval_id) & (EVAL_RUNS.c.id == run_id)
    return select(EVAL_RUNS).where(mine)


def _values(project: str, run: StoredRun) -> dict[str, Any]:
    return {
        "project": project,
        "eval_id": run.eval_id,
        "id": run.id,
        "created": run.created,
        "status": run.status,
        "name": run.name.encode(),
        "model": None if run.model is None else run.model.encode(),
        "metadata": orjson.dumps(dict(run.metadata)),
        "token": run.token,
        "source": run.source,
        "counts": write_counts(run.counts),
    }


def _run(row: Row[Any]) -> StoredRun:
    return StoredRun(
        id=row.id,
        eval_id=row.eval_id,
        created=row.created,
        status=row.status,
        name=row.name.decode(),
        model=None if row.model is None else row.model.decode(),
        metadata=orjson.loads(row.metadata),
        token=row.token,
        source=row.source,
        counts=read_counts(row.counts),
        error=None if row.error is None else tuple(orjson.loads(row.error)),
    )
