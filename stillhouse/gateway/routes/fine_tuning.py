"""`/v1/fine_tuning/jobs`: made, listed, shown, cancelled, paused, resumed; their events and checkpoints."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.gateway.auth import Gate, actor_of, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.paging import read_cut, read_filters, unknown_cursor
from stillhouse.gateway.shelf import Shelf
from stillhouse.jobs.bases import AUTO, Bases
from stillhouse.jobs.job_folder import JobFolder
from stillhouse.jobs.told import created_events
from stillhouse.storage.ids import is_id, new_id
from stillhouse.storage.records import Scope
from stillhouse.storage.tuning_records import NewEvent, Status, TuningJob
from stillhouse.wire.errors import Unsupported, WireError
from stillhouse.wire.fine_tuning import (
    LARGEST_SEED,
    CheckpointView,
    EventView,
    NewJob,
    Progress,
    Settled,
    read_job,
    read_kept_job,
    unknown_job,
    write_checkpoints,
    write_events,
    write_job,
    write_jobs,
    write_request,
)

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["PURPOSE", "FineTuning", "job_parts", "order_job"]

PURPOSE = "fine-tune"
"""What files are for that jobs learn."""
CHECKPOINTS = 10
UNFINISHED = [status for status in Status if not status.final]


@final
class FineTuning:
    """Takes orders for jobs, and tells how they go; workers do them."""

    def __init__(self, shelf: Shelf, bases: Bases, wake: Callable[[], None]) -> None:
        self._shelf, self._bases, self._wake = shelf, bases, wake

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        all_of_them, one = "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs/{job_id}"
        return [
            gate.route(all_of_them, self.create, Scope.TRAIN, "POST"),
            gate.route(all_of_them, self.list, Scope.READ),
            gate.route(one, self.retrieve, Scope.READ),
            gate.route(f"{one}/cancel", self.cancel, Scope.TRAIN, "POST"),
            gate.route(f"{one}/pause", self.pause, Scope.TRAIN, "POST"),
            gate.route(f"{one}/resume", self.resume, Scope.TRAIN, "POST"),
            gate.route(f"{one}/events", self.events, Scope.READ),
            gate.route(f"{one}/checkpoints", self.checkpoints, Scope.READ),
        ]

    async def create(self, request: Request) -> Response:
        """A new job, to be done by the next worker that is free."""
        asked = read_job(await read_body(request))
        store = await self._shelf.open()
        job = await order_job(store, self._bases, project_of(request), asked, actor_of(request))
        self._wake()
        return _shown(job)

    async def list(self, request: Request) -> Response:
        """A page of jobs, newest first."""
        asked = replace(read_cut(request.query_params), ascending=False)
        store = await self._shelf.open()
        page = await store.jobs.page(project_of(request), asked, read_filters(request.query_params))
        if page is None:
            raise unknown_cursor(asked.after or "")
        return Response(write_jobs([job_parts(job) for job in page.rows], page.has_more), media_type=JSON)

    async def retrieve(self, request: Request) -> Response:
        """One, as it is now."""
        return _shown(await self._find(request))

    async def cancel(self, request: Request) -> Response:
        """One to its end, at once."""
        event = NewEvent("cancelled", "Fine-tuning job cancelled")
        job = await self._find(request)
        store = await self._shelf.open()
        moved = await store.jobs.move(job.id, UNFINISHED, lambda each: replace(each, status=Status.CANCELLED), [event])
        shown = _shown(await self._moved(moved, request, "cancelled"))
        await asyncio.to_thread(JobFolder.of(self._shelf.home, job.id).clear)
        return shown

    async def pause(self, request: Request) -> Response:
        """One at rest, with all that it has learnt."""
        job = await self._find(request)
        store = await self._shelf.open()
        event = NewEvent(f"paused:{time.time_ns()}", "Fine-tuning job paused")
        among = [Status.QUEUED, Status.RUNNING]
        moved = await store.jobs.move(job.id, among, lambda each: replace(each, status=Status.PAUSED), [event])
        return _shown(await self._moved(moved, request, "paused"))

    async def resume(self, request: Request) -> Response:
        """One that was paused, in the queue again."""
        job = await self._find(request)
        store = await self._shelf.open()
        event = NewEvent(f"resumed:{time.time_ns()}", "Fine-tuning job resumed")
        moved = await store.jobs.queue(job.id, Status.PAUSED, event)
        self._wake()
        return _shown(await self._moved(moved, request, "resumed"))

    async def events(self, request: Request) -> Response:
        """A page of what happened, newest first."""
        job, asked = await self._find(request), replace(read_cut(request.query_params), ascending=False)
        store = await self._shelf.open()
        page = await store.jobs.events(job.id, asked)
        if page is None:
            raise unknown_cursor(asked.after or "")
        views = [EventView(row.id, row.created, row.level, row.message, row.data, row.metrics) for row in page.rows]
        return Response(write_events(views, page.has_more), media_type=JSON)

    async def checkpoints(self, request: Request) -> Response:
        """A page of what is kept of a job's epochs, newest first."""
        job = await self._find(request)
        asked = replace(read_cut(request.query_params, size=CHECKPOINTS), ascending=False)
        store = await self._shelf.open()
        page = await store.tuned.checkpoints(job.id, asked)
        if page is None:
            raise unknown_cursor(asked.after or "")
        views = [CheckpointView(row.id, row.created, row.job, row.step, row.model, row.metrics) for row in page.rows]
        return Response(write_checkpoints(views, page.has_more), media_type=JSON)

    async def _find(self, request: Request) -> TuningJob:
        job_id: str = request.path_params["job_id"]
        store = await self._shelf.open()
        found = await store.jobs.get(project_of(request), job_id) if is_id(job_id) else None
        if found is None:
            raise unknown_job(job_id)
        return found

    async def _moved(self, moved: TuningJob | None, request: Request, word: str) -> TuningJob:
        """A job that was moved; raises WireError where its state did not allow it."""
        if moved is None:
            status = (await self._find(request)).status
            raise WireError(f"The job cannot be {word}: its status is '{status}'.", "invalid_value", "status")
        return moved


async def order_job(store: Store, bases: Bases, project: str, asked: NewJob, actor: str) -> TuningJob:
    """Keep a job, and order it to be done; raises WireError where it never could be."""
    base = await bases.find(store, project, asked.model)
    if base is None:
        words = f"Model {asked.model} is not available for fine-tuning or does not exist."
        raise WireError(words, "model_not_available")
    _check_distillation(asked, bases)
    await _check_file(store, project, asked.training_file, "training_file")
    if asked.validation_file is not None:
        await _check_file(store, project, asked.validation_file, "validation_file")
    asked = replace(asked, seed=secrets.randbelow(LARGEST_SEED + 1) if asked.seed is None else asked.seed)
    job = TuningJob(
        project=project,
        id=new_id("ftjob-"),
        created=int(time.time()),
        status=Status.VALIDATING,
        request=write_request(asked),
    )
    await store.jobs.create(job, created_events(job.id, asked), actor)
    return job


def _check_distillation(asked: NewJob, bases: Bases) -> None:
    """Refuse what does not go together: the ladder has no teacher but the file, and other models no ladder."""
    wanted = asked.distillation
    if asked.model == AUTO:
        if asked.method != "supervised" or (wanted and wanted.teacher):
            raise Unsupported(f"'{AUTO}' is learnt by the method 'supervised', from the answers in the file.", "method")
    elif wanted and wanted.teacher not in bases.local():
        param = "distillation.students" if wanted.students else "distillation.teacher"
        words = f"The teacher '{wanted.teacher}' is not a local model of this server."
        if wanted.students:
            words = f"Only '{AUTO}' chooses among students."
        raise WireError(words, "invalid_value" if wanted.students else "model_not_available", param)


async def _check_file(store: Store, project: str, file_id: str, param: str) -> None:
    found = await store.files.get(project, file_id) if is_id(file_id) else None
    if found is None:
        raise WireError(f"invalid {param}: {file_id[:80]}", None, param)
    if found.purpose != PURPOSE:
        words = f"invalid {param}: {file_id} has the purpose '{found.purpose}'; it must be '{PURPOSE}'"
        raise WireError(words, None, param)


def job_parts(job: TuningJob) -> tuple[str, int, NewJob, Progress]:
    """A job as the wire tells it; its model's name only once the model is there."""
    progress = Progress(
        status=job.status,
        settled=Settled(**orjson.loads(job.settled)) if job.settled else None,
        finished=job.ends if job.status in (Status.SUCCEEDED, Status.FAILED) else None,
        estimated=job.ends if job.status is Status.RUNNING else None,
        model=job.model if job.status is Status.SUCCEEDED else None,
        tokens=job.tokens,
        result_file=job.result_file,
        error=orjson.loads(job.error) if job.error else None,
    )
    return job.id, job.created, read_kept_job(job.request), progress


def _shown(job: TuningJob) -> Response:
    return Response(write_job(*job_parts(job)), media_type=JSON)
