"""Tuned: the models that fine-tuning jobs made, and the checkpoints that they keep."""

from __future__ import annotations

from typing import Any, final

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.database import Database
from stillhouse.storage.pages import cut
from stillhouse.storage.records import Cut, Page
from stillhouse.storage.tables import TUNED_MODELS, TUNING_CHECKPOINTS
from stillhouse.storage.tuning_records import ModelKind, TunedModel, TuningCheckpoint
from stillhouse.storage.writer import Writer

__all__ = ["Tuned", "add_model", "keep_checkpoint"]


@final
class Tuned:
    """The tuned models of a database."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database, self._writer = database, writer

    async def model(self, project: str, name: str) -> TunedModel | None:
        """One by its name, None when the project has none such."""
        if "\0" in name:  # which PostgreSQL cannot compare with
            return None
        query = select(TUNED_MODELS).where(TUNED_MODELS.c.name == name, TUNED_MODELS.c.project == project)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _model(row)

    async def models(self, project: str) -> list[TunedModel]:
        """All of a project, oldest first."""
        mine = select(TUNED_MODELS).where(TUNED_MODELS.c.project == project)
        async with self._database.reading() as connection:
            rows = await connection.execute(mine.order_by(TUNED_MODELS.c.created, TUNED_MODELS.c.name))
            return [_model(row) for row in rows]

    async def delete(self, project: str, name: str) -> TunedModel | None:
        """Forget one; None when the project has none such. Its folder stays."""

        if "\0" in name:
            return None

        async def change(connection: AsyncConnection) -> TunedModel | None:
            mine = (TUNED_MODELS.c.name == name) & (TUNED_MODELS.c.project == project)
            row = (await connection.execute(select(TUNED_MODELS).where(mine))).first()
            if row is None:
                return None
            await connection.execute(delete(TUNED_MODELS).where(mine))
            return _model(row)

        return await self._writer.change(change)

    async def checkpoints(self, job_id: str, asked: Cut) -> Page[TuningCheckpoint] | None:
        """Some checkpoints of a job; None when the one to go on after is not there."""
        table = TUNING_CHECKPOINTS
        mine = select(table).where(table.c.job == job_id)
        async with self._database.reading() as connection:
            after = None
            if asked.after is not None:
                last = (await connection.execute(mine.where(table.c.id == asked.after))).first()
                if last is None:
                    return None
                after = last.step, last.id
            rows = (await connection.execute(cut(mine, table.c.step, table.c.id, asked, after))).all()
        return Page([_checkpoint(row) for row in rows[: asked.limit]], has_more=len(rows) > asked.limit)


async def add_model(connection: AsyncConnection, model: TunedModel) -> None:
    """Add a model within a transaction, unless it is there."""
    there = select(TUNED_MODELS.c.name).where(TUNED_MODELS.c.name == model.name)
    if not (await connection.execute(there)).first():
        row = {
            "name": model.name,
            "project": model.project,
            "created": model.created,
            "job": model.job,
            "kind": str(model.kind),
            "folder": model.folder,
        }
        await connection.execute(insert(TUNED_MODELS), [row])


async def keep_checkpoint(
    connection: AsyncConnection, checkpoint: TuningCheckpoint, model: TunedModel | None, most: int = 3
) -> None:
    """Add a checkpoint within a transaction, unless one of its step is there, and its model where it is told.

    Of each job the newest are kept; older ones go with their models.
    """
    table = TUNING_CHECKPOINTS
    mine = table.c.job == checkpoint.job
    if (await connection.execute(select(table.c.id).where(mine, table.c.step == checkpoint.step))).first():
        return
    row = {
        "id": checkpoint.id,
        "job": checkpoint.job,
        "created": checkpoint.created,
        "step": checkpoint.step,
        "model": checkpoint.model,
        "metrics": checkpoint.metrics,
    }
    await connection.execute(insert(table), [row])
    if model:
        await add_model(connection, model)
    rows = (await connection.execute(select(table).where(mine).order_by(table.c.step.desc()))).all()
    for old in rows[most:]:
        await connection.execute(delete(table).where(table.c.id == old.id))
        await connection.execute(delete(TUNED_MODELS).where(TUNED_MODELS.c.name == old.model))


def _model(row: Row[Any]) -> TunedModel:
    return TunedModel(row.name, row.project, row.created, row.job, ModelKind(row.kind), row.folder)


def _checkpoint(row: Row[Any]) -> TuningCheckpoint:
    return TuningCheckpoint(row.id, row.job, row.created, row.step, row.model, row.metrics)
