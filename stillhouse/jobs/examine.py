"""The exam after a job on stored completions: its model is asked what was held out, as a run of an eval."""

from __future__ import annotations

import time
from dataclasses import replace

from stillhouse.evaluation.kept import new_run, restored
from stillhouse.jobs.course import Site
from stillhouse.storage.tuning_records import Status
from stillhouse.wire.evals import read_run
from stillhouse.wire.exams import write_exam_run
from stillhouse.wire.fine_tuning import read_kept_job

__all__ = ["examine"]


async def examine(site: Site, job_id: str) -> None:
    """Order the run that a job is to end with, once; nothing where it has none, or its eval was deleted."""
    job = await site.store.jobs.find(job_id)
    if job is None or job.status is not Status.SUCCEEDED or job.model is None:
        return
    exam = read_kept_job(job.request).exam
    if exam is None or await site.store.eval_runs.get(job.project, exam.eval_id, exam.run_id):
        return
    kept = await site.store.evals.get(job.project, exam.eval_id)
    if kept is None:
        return
    body = write_exam_run(job.model, exam.file, exam.longest, job_id)
    run = new_run(read_run(body, restored(kept).config), kept, int(time.time()))
    await site.store.eval_runs.add(job.project, replace(run, id=exam.run_id, token=exam.token))
