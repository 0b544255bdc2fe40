"""Fine-tuning jobs carried out: files validated, a training process watched, its model and figures published."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import Any

import orjson

from stillhouse.errors import StillhouseError, TermsForbid
from stillhouse.jobs.bases import Bases
from stillhouse.jobs.course import Course, Site, fail
from stillhouse.jobs.job_folder import JobFolder
from stillhouse.jobs.publish import publish
from stillhouse.jobs.settle import model_name, settle
from stillhouse.jobs.terms import FORBIDDEN, JobTerms, check_terms
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import NewEvent, Status, TuningJob
from stillhouse.wire.fine_tuning import NewJob, Settled, read_kept_job
from stillhouse.wire.training_rows import BadTrainingFile, Which, read_training_rows

__all__ = ["learn", "note_failure", "to_learn", "to_validate", "validate"]


class Failed(StillhouseError):
    """A job cannot be done; `code` and `param` are what clients are told."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.param = code, param


async def validate(site: Site, job_id: str) -> None:
    """The files are read and kept as the job will learn them, whatever becomes of them later; then it may learn."""
    job = await site.store.jobs.find(job_id)
    if job is None or job.status is not Status.VALIDATING:
        return
    folder = JobFolder.of(site.home, job_id)
    if not await _has_copied(site, job, folder) or await _terms(site, job, folder) is None:
        return
    event = NewEvent("validated", "Files validated, moving job to queued state")
    if await site.store.jobs.queue(job_id, Status.VALIDATING, event) is None:
        folder.remove()


async def learn(site: Site, job_id: str) -> None:
    """Training, in a process of its own, gone on with from its checkpoint; then the model.

    Of a job that is over only its models and figures stay.
    """
    await _learn(site, job_id)
    job = await site.store.jobs.find(job_id)
    if job is None or job.status.final:
        await asyncio.to_thread(JobFolder.of(site.home, job_id).clear)


async def _learn(site: Site, job_id: str) -> None:
    job = await site.store.jobs.find(job_id)
    if job is None or job.status not in (Status.QUEUED, Status.RUNNING):
        return
    asked, folder = read_kept_job(job.request), JobFolder.of(site.home, job_id)
    base = await Bases(site.home).find(site.store, job.project, asked.model)
    if base is None:
        await fail(site, job_id, "training_error", f"The base model {asked.model} is not there any more.")
        return
    if not folder.has_rows and not await _has_copied(site, job, folder):  # it comes from a backup
        return
    terms = await _terms(site, job, folder)  # which may have changed while it waited
    if terms is None:
        return
    settled = None if base.source is None else await _settled(job, asked, folder)
    name = model_name(base.name, asked.suffix, job_id)

    def claim(each: TuningJob) -> TuningJob:
        learnt_with = None if settled is None else orjson.dumps(asdict(settled))
        return replace(each, status=Status.RUNNING, owner=site.worker, settled=learnt_with, model=name)

    started = NewEvent("started", "Fine-tuning job started")
    claimed = await site.store.jobs.move(job_id, [Status.QUEUED, Status.RUNNING], claim, [started, *terms.events()])
    if claimed is None:
        return
    if settled is None or base.source is None:
        students = asked.distillation.students if asked.distillation else ("auto",)
        plan = {"name": name, "seed": asked.seed or 0, "students": students, "terms": terms.to_json()}
        folder.write_plan({"climb": plan})
    else:
        folder.write_plan({"tune": _plan(site, base.source, asked, settled)})
    course = Course(site, claimed, asked, folder, base.name)
    if await course.run():
        await publish(site, claimed, asked, folder, course.metadata)


async def to_validate(store: Store) -> list[str]:
    """The jobs whose files are still to be read."""
    return await store.jobs.unfinished(Status.VALIDATING)


async def to_learn(store: Store) -> list[str]:
    """The jobs that wait to learn, or are learning."""
    return await store.jobs.unfinished(Status.QUEUED, Status.RUNNING)


async def note_failure(site: Site, job_id: str, error: Exception) -> None:
    """Tell clients that a job failed for a reason that is not theirs; the log says more."""
    words = str(error) if isinstance(error, StillhouseError) else "The job failed due to an internal error."
    await fail(site, job_id, "internal_error", words)


async def _has_copied(site: Site, job: TuningJob, folder: JobFolder) -> bool:
    """Whether the rows of a job's files are kept now; if not, the job has failed."""
    try:
        if read_kept_job(job.request).validation_file:
            await _copy(site, job, folder, "validation")
        await _copy(site, job, folder, "training")
    except Failed as error:
        await fail(site, job.id, error.code, str(error), error.param)
        await asyncio.to_thread(folder.clear)
        return False
    return True


async def _terms(site: Site, job: TuningJob, folder: JobFolder) -> JobTerms | None:
    """On whose terms a job learns the rows in its folder; None where they forbid it: then the job has failed."""
    try:
        return await check_terms(site, read_kept_job(job.request), folder)
    except TermsForbid as error:
        await fail(site, job.id, FORBIDDEN, str(error), "training_file")
        await asyncio.to_thread(folder.clear)
        return None


async def _copy(site: Site, job: TuningJob, folder: JobFolder, which: Which) -> None:
    """Keep the rows of a file; raises Failed where it is gone or wrong."""
    asked = read_kept_job(job.request)
    file_id = asked.training_file if which == "training" else asked.validation_file
    param = f"{which}_file"
    file = await site.store.files.get(job.project, file_id or "")
    if file is None:
        raise Failed(f"deleted_{which}_file", f"The job failed because the {which} file was deleted", param)
    opened = await site.store.files.open(file)

    def copy() -> None:
        with opened:
            rows = read_training_rows(opened, asked.method, which)
            folder.write_rows("train" if which == "training" else "valid", rows)

    try:
        await asyncio.to_thread(copy)
    except BadTrainingFile as error:
        raise Failed(error.code, str(error), param) from error


async def _settled(job: TuningJob, asked: NewJob, folder: JobFolder) -> Settled:
    if job.settled:
        return Settled(**orjson.loads(job.settled))
    rows = await asyncio.to_thread(folder.read_rows, "train")
    return settle(asked.hyperparameters, asked.method, len(rows))


def _plan(site: Site, source: str, asked: NewJob, settled: Settled) -> dict[str, Any]:
    """What the training process is told; see `training.fine_tune.Tuning`."""
    match = None
    wanted = asked.distillation
    if wanted and wanted.teacher:
        match = {
            "teacher": Bases(site.home).local()[wanted.teacher],
            "objective": wanted.objective,
            "temperature": wanted.temperature,
            "weight": wanted.weight,
        }
    return {
        "base": source,
        "method": asked.method,
        "epochs": settled.n_epochs,
        "batch": settled.batch_size,
        "rate": settled.learning_rate_multiplier,
        "beta": settled.beta or 0.1,
        "seed": asked.seed or 0,
        "match": match,
        "checkpoint_every": site.checkpoint_every,
    }
