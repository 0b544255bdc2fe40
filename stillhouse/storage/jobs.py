"""Jobs: fine-tuning jobs and what happened in them; added, listed, and moved from one state to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, final

import orjson
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.audit import Audit
from stillhouse.storage.audit_records import SERVER, Event
from stillhouse.storage.database import Database
from stillhouse.storage.ids import new_id
from stillhouse.storage.pages import cut
from stillhouse.storage.records import Cut, Page
from stillhouse.storage.tables import TUNING_EVENTS, TUNING_JOBS
from stillhouse.storage.tuned import add_model, keep_checkpoint
from stillhouse.storage.tuning_records import NewEvent, Status, TunedModel, TuningCheckpoint, TuningEvent, TuningJob
from stillhouse.storage.work import place_order
from stillhouse.storage.writer import Writer

__all__ = ["LEARN", "VALIDATE", "Jobs", "Made", "Move"]

VALIDATE, LEARN = "fine_tuning_files", "fine_tuning_job"
"""The workflows of a job: its files are read at once, also while others learn."""

Move = Callable[[TuningJob], TuningJob]
"""A job as it is -> as it is to be."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a job has made: models, and checkpoints with the models that lie there (None: one that comes later)."""

    models: Sequence[TunedModel] = ()
    checkpoints: Sequence[tuple[TuningCheckpoint, TunedModel | None]] = ()


@final
class Jobs:
    """The fine-tuning jobs of a database."""

    def __init__(self, database: Database, writer: Writer, audit: Audit | None = None) -> None:
        self._database, self._writer, self._audit = database, writer, audit

    async def create(self, job: TuningJob, events: Sequence[NewEvent] = (), actor: str = SERVER) -> None:
        """Keep a new job, and order it to be done."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(insert(TUNING_JOBS), [_row(job)])
            for event in events:
                await _tell(connection, job.id, event)
            await place_order(connection, VALIDATE, job.id)
            if self._audit:
                await self._audit.append(connection, Event("job.created", actor, job.project, job.id))

        await self._writer.change(change)

    async def get(self, project: str, job_id: str) -> TuningJob | None:
        """One by its id, None when the project has none such."""
        found = await self.find(job_id)
        return found if found and found.project == project else None

    async def find(self, job_id: str) -> TuningJob | None:
        """One by its id, whosever it is."""
        query = select(TUNING_JOBS).where(TUNING_JOBS.c.id == job_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _job(row)

    async def page(self, project: str, asked: Cut, metadata: Mapping[str, str] | None = None) -> Page[TuningJob] | None:
        """Some of those with all the metadata; None when the one to go on after never was.

        Metadata is looked at job by job: a project has far fewer of them than calls.
        """
        after = None
        if asked.after is not None:
            last = await self.get(project, asked.after)
            if last is None:
                return None
            after = last.created, last.id
        found: list[TuningJob] = []
        while len(found) <= asked.limit:
            rest = Cut(asked.limit, None, asked.ascending)
            mine = select(TUNING_JOBS).where(TUNING_JOBS.c.project == project)
            query = cut(mine, TUNING_JOBS.c.created, TUNING_JOBS.c.id, rest, after)
            async with self._database.reading() as connection:
                jobs = [_job(row) for row in await connection.execute(query)]
            found += [job for job in jobs if not metadata or _has(job, metadata)]
            if len(jobs) <= rest.limit:
                break
            after = jobs[-1].created, jobs[-1].id
        return Page(found[: asked.limit], has_more=len(found) > asked.limit)

    async def unfinished(self, *statuses: Status) -> list[str]:
        """The ids of all jobs in some states, oldest first, whosever they are."""
        table = TUNING_JOBS
        query = select(table.c.id).where(table.c.status.in_([str(status) for status in statuses]))
        async with self._database.reading() as connection:
            return [row.id for row in await connection.execute(query.order_by(table.c.created, table.c.id))]

    async def beginning_from(self, project: str, model: str) -> TuningJob | None:
        """An unfinished job of a project that begins from a model, if there is one."""
        table, unfinished = TUNING_JOBS, [str(status) for status in Status if not status.final]
        query = select(table).where(table.c.project == project, table.c.status.in_(unfinished))
        async with self._database.reading() as connection:
            jobs = [_job(row) for row in await connection.execute(query)]
        return next((job for job in jobs if orjson.loads(job.request)["model"] == model), None)

    async def move(
        self,
        job_id: str,
        among: Collection[Status],
        move: Move,
        events: Sequence[NewEvent] = (),
        made: Made | None = None,
        owner: str | None = None,
    ) -> TuningJob | None:
        """Change a job that is in one of some states, tell events and keep what it made; all or nothing.

        With `owner` only where that worker is at it; None where nothing was changed.
        """

        async def change(connection: AsyncConnection) -> TuningJob | None:
            moved = await _move(connection, job_id, among, move, events, owner)
            if moved is not None and made is not None:
                for model in made.models:
                    await add_model(connection, model)
                for checkpoint, model in made.checkpoints:
                    await keep_checkpoint(connection, checkpoint, model)
            return moved

        return await self._writer.change(change)

    async def queue(self, job_id: str, among: Status, event: NewEvent) -> TuningJob | None:
        """Put a job that is in a state into the queue; None where it is not."""

        async def change(connection: AsyncConnection) -> TuningJob | None:
            moved = await _move(connection, job_id, [among], _queued, [event], None)
            if moved is not None:
                await place_order(connection, LEARN, job_id)
            return moved

        return await self._writer.change(change)

    async def note(self, job_id: str, *events: NewEvent) -> None:
        """Tell events of a job."""

        async def change(connection: AsyncConnection) -> None:
            for event in events:
                await _tell(connection, job_id, event)

        await self._writer.change(change)

    async def events(self, job_id: str, asked: Cut) -> Page[TuningEvent] | None:
        """Some of what happened in a job; None when the event to go on after never was."""
        table = TUNING_EVENTS
        mine = select(table).where(table.c.job == job_id)
        async with self._database.reading() as connection:
            after = None
            if asked.after is not None:
                last = (await connection.execute(mine.where(table.c.id == asked.after))).first()
                if last is None:
                    return None
                after = last.created, last.id
            rows = (await connection.execute(cut(mine, table.c.created, table.c.id, asked, after))).all()
        events = [
            TuningEvent(row.id, row.created, row.level, row.message, row.data, row.key.startswith("step:"))
            for row in rows[: asked.limit]
        ]
        return Page(events, has_more=len(rows) > asked.limit)


async def _move(
    connection: AsyncConnection,
    job_id: str,
    among: Collection[Status],
    move: Move,
    events: Sequence[NewEvent],
    owner: str | None,
) -> TuningJob | None:
    query = select(TUNING_JOBS).where(TUNING_JOBS.c.id == job_id).with_for_update()
    row = (await connection.execute(query)).first()
    if row is None or row.status not in among or (owner is not None and row.owner != owner):
        return None
    moved = move(_job(row))
    await connection.execute(update(TUNING_JOBS).where(TUNING_JOBS.c.id == job_id).values(_row(moved)))
    for event in events:
        await _tell(connection, job_id, event)
    return moved


def _queued(job: TuningJob) -> TuningJob:
    return replace(job, status=Status.QUEUED)


async def _tell(connection: AsyncConnection, job_id: str, event: NewEvent) -> None:
    """Add an event within a transaction, unless one of its key is there."""
    there = select(TUNING_EVENTS.c.id).where(TUNING_EVENTS.c.job == job_id, TUNING_EVENTS.c.key == event.key)
    if (await connection.execute(there)).first():
        return
    row = {
        "id": new_id("ftevent-"),
        "job": job_id,
        "key": event.key,
        "created": int(time.time()),
        "level": event.level,
        "message": event.message,
        "data": event.data,
    }
    await connection.execute(insert(TUNING_EVENTS), [row])


def _row(job: TuningJob) -> dict[str, Any]:
    return dict(zip((field.name for field in fields(job)), astuple(job), strict=True)) | {"status": str(job.status)}


def _job(row: Row[Any]) -> TuningJob:
    values: dict[str, Any] = {field.name: getattr(row, field.name) for field in fields(TuningJob)}
    values["status"] = Status(row.status)
    return TuningJob(**values)


def _has(job: TuningJob, metadata: Mapping[str, str]) -> bool:
    own: dict[str, str] = orjson.loads(job.request).get("metadata") or {}
    return all(own.get(key) == value for key, value in metadata.items())
