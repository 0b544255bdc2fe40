"""`POST /v1/distillations`: from stored completions to a served student in one call."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.evaluation.kept import new_eval
from stillhouse.gateway.auth import Gate, actor_of, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.routes.eval_runs import page_url
from stillhouse.gateway.routes.fine_tuning import PURPOSE, job_parts, order_job
from stillhouse.gateway.shelf import Shelf
from stillhouse.jobs.bases import AUTO, Bases
from stillhouse.storage.audit_records import Event
from stillhouse.storage.file_records import NewFile, StoredFile
from stillhouse.storage.ids import new_id
from stillhouse.storage.records import Scope, Wanted
from stillhouse.wire.distillations import (
    NewDistillation,
    hold_out,
    read_distillation,
    too_few,
    training_row,
    write_distillation,
)
from stillhouse.wire.evals import read_eval
from stillhouse.wire.exams import exam_rows, longest_answer, write_exam
from stillhouse.wire.fine_tuning import Exam
from stillhouse.wire.training_rows import FEWEST

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["Distillations"]

Row = Mapping[str, Any]


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
        learnt, held = hold_out(rows, asked.validation_share)
        if len(learnt) < FEWEST:
            raise too_few(len(learnt))
        async with _undone_on_error(store, project) as made:
            training = await _keep(store, project, "distillation.jsonl", learnt, made)
            valid = await _keep(store, project, "distillation-validation.jsonl", held, made) if held else None
            job = replace(asked.job, training_file=training.id, validation_file=valid.id if valid else None)
            if job.model != AUTO:
                job = replace(job, exam=await _exam(store, project, learnt, held, made))
            ordered = await order_job(store, self._bases, project, job, actor_of(request))
            read = Event("completions.read", actor_of(request), project, ordered.id, details={"number": len(rows)})
            await store.audit.tell(read)
        self._wake()
        page = page_url(request, job.exam.eval_id, job.exam.run_id, job.exam.token) if job.exam else None
        content = write_distillation(job_parts(ordered), (len(learnt), len(held)), training.blob.digest, page)
        return Response(content, media_type=JSON)


@asynccontextmanager
async def _undone_on_error(store: Store, project: str) -> AsyncGenerator[list[str]]:
    """The ids of what is made on the way to a job, which is deleted where there comes none."""
    made: list[str] = []
    try:
        yield made
    except Exception:
        for each in made:
            if not await store.files.delete(project, each):
                await store.evals.delete(project, each)
        raise


async def _exam(store: Store, project: str, learnt: Sequence[Row], held: Sequence[Row], made: list[str]) -> Exam | None:
    """The eval that the job's model is asked; None where no row that was held out can be asked again."""
    rows = exam_rows(held)
    if not rows:
        return None
    file = await _keep(store, project, "distillation-eval.jsonl", rows, made, "evals")
    _, kept = new_eval(read_eval(write_exam(f"Distillation {file.id}", rows, learnt)), int(time.time()))
    await store.evals.add(project, kept)
    made.append(kept.id)
    return Exam(kept.id, new_id("evalrun_"), secrets.token_urlsafe(16), file.id, longest_answer(rows))


async def _rows(store: Store, project: str, asked: NewDistillation) -> AsyncGenerator[Row]:
    wanted = Wanted(asked.model, asked.metadata)
    for completion_id in await store.completions.ids(project, wanted, asked.since, asked.until, asked.limit):
        kept = await store.completions.get(project, completion_id)
        row = training_row(kept.messages, kept.answer, kept.model) if kept else None
        if row is not None:
            yield row


async def _keep(
    store: Store, project: str, name: str, rows: Iterable[Row], made: list[str], purpose: str = PURPOSE
) -> StoredFile:
    file = await store.files.put(project, NewFile(name, purpose), (orjson.dumps(row) + b"\n" for row in rows))
    made.append(file.id)
    return file
