"""The end of a job that has learnt: its results file, its model, and the job done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from stillhouse.jobs.climb import BUNDLE
from stillhouse.jobs.course import Site, model_in
from stillhouse.jobs.job_folder import JobFolder
from stillhouse.storage.file_records import NewFile
from stillhouse.storage.jobs import Made
from stillhouse.storage.records import Cut
from stillhouse.storage.tuning_records import ModelKind, NewEvent, Status, TuningJob
from stillhouse.wire.fine_tuning import NewJob, write_request

__all__ = ["publish"]

RESULTS = "fine-tune-results"
MOST_PAIRS = 16
"""Of metadata; the client's own go before ours."""
COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
OURS = ("step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy")


async def publish(site: Site, job: TuningJob, asked: NewJob, folder: JobFolder, metadata: Mapping[str, str]) -> None:
    """The results file, then at once the model and the job done, with more metadata where there is some."""
    name = job.model or ""
    if (folder.path / BUNDLE).is_dir():
        model = model_in(job, name, BUNDLE, ModelKind.BUNDLE)
    else:
        checkpoints = await site.store.tuned.checkpoints(job.id, Cut(1))
        assert checkpoints
        model = model_in(job, name, f"epochs/{checkpoints.rows[0].step}")
    result = await _results(site, job, folder)
    request = job.request
    if metadata:
        together = {
            **(asked.metadata or {}),
            **{key: value for key, value in metadata.items() if key not in (asked.metadata or {})},
        }
        request = write_request(replace(asked, metadata=dict(list(together.items())[:MOST_PAIRS])))

    def end(each: TuningJob) -> TuningJob:
        done = replace(each, status=Status.SUCCEEDED, ends=int(time.time()), result_file=result)
        return replace(done, request=request)

    events = [
        NewEvent("model", f"New fine-tuned model created: {name}"),
        NewEvent("done", "The job has successfully completed"),
    ]
    await site.store.jobs.move(job.id, [Status.RUNNING], end, events, Made(models=[model]), site.worker)


async def _results(site: Site, job: TuningJob, folder: JobFolder) -> str:
    """The id of the results file, which is made once."""
    filename = f"{job.id}_step_metrics.csv"
    there = await site.store.files.page(job.project, RESULTS, Cut(100))
    for file in there.rows if there else ():
        if file.filename == filename:
            return file.id
    lines = await asyncio.to_thread(lambda: list(_csv(folder)))
    made = await site.store.files.put(job.project, NewFile(filename, RESULTS), lines)
    return made.id


def _csv(folder: JobFolder) -> Iterator[bytes]:
    yield (",".join(COLUMNS) + "\n").encode()
    for line in folder.steps():
        values = [line.get(name, "") for name in OURS]
        yield (",".join(f"{value:.5f}" if isinstance(value, float) else str(value) for value in values) + "\n").encode()
