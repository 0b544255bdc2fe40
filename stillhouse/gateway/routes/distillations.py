"""`POST /v1/distillations`: from stored completions to a served student in one call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.routes.fine_tuning import PURPOSE, job_parts, order_job
from stillhouse.gateway.shelf import Shelf
from stillhouse.jobs.bases import AUTO, Bases
from stillhouse.storage.file_records import NewFile, StoredFile
from stillhouse.storage.records import Scope, Wanted
from stillhouse.wire.distillations import (
    NewDistillation,
    is_held_out,
    read_distillation,
    too_few,
    training_row,
    write_distillation,
)
from stillhouse.wire.training_rows import FEWEST

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["Distillations"]

Row = dict[str, Any]


@final
class Distillations:
    """Makes training files of stored completions, and orders the jobs that learn them."""

    def __init__(self, shelf: Shelf, bases: Bases, wake: Callable[[], None]) -> None:
        self._shelf, self._bases, self._wake = shelf, bases, wake

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        return [gate.route("/v1/distillations", self.create, Scope.TRAIN, "POST")]

    async def create(self, request: Request) -> Response:
        """A job on the stored completions that are chosen; which of them lack a whole answer is left out."""
        asked, project = read_distillation(await read_body(request), AUTO), project_of(request)
        store = await self._shelf.open()
        rows = [row async for row in _rows(store, project, asked)]
        learnt = [row for row in rows if not is_held_out(row, asked.validation_share)]
        held = [row for row in rows if is_held_out(row, asked.validation_share)]
        if len(learnt) < FEWEST:
            raise too_few(len(learnt))
        training = await _keep(store, project, "distillation.jsonl", learnt)
        validation = await _keep(store, project, "distillation-validation.jsonl", held) if held else None
        job = replace(asked.job, training_file=training.id, validation_file=validation.id if validation else None)
        try:
            made = await order_job(store, self._bases, project, job)
        except Exception:
            for file in (training, *([validation] if validation else [])):
                await store.files.delete(project, file.id)
            raise
        self._wake()
        content = write_distillation(job_parts(made), len(learnt), len(held), training.blob.digest)
        return Response(content, media_type=JSON)


async def _rows(store: Store, project: str, asked: NewDistillation) -> AsyncGenerator[Row]:
    wanted = Wanted(asked.model, asked.metadata)
    for completion_id in await store.completions.ids(project, wanted, asked.since, asked.until, asked.limit):
        kept = await store.completions.get(project, completion_id)
        row = training_row(kept.messages, kept.answer) if kept else None
        if row is not None:
            yield row


async def _keep(store: Store, project: str, name: str, rows: Iterable[Mapping[str, Any]]) -> StoredFile:
    return await store.files.put(project, NewFile(name, PURPOSE), (orjson.dumps(row) + b"\n" for row in rows))
