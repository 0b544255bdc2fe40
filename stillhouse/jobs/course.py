"""Course: one training of a job, in a process of its own, watched from its start or from where it was left."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast, final

import orjson

from stillhouse.jobs.job_folder import JobFolder
from stillhouse.jobs.settle import checkpoint_name
from stillhouse.jobs.told import checkpoint_event, note_event, rung_event, step_event
from stillhouse.storage.ids import new_id
from stillhouse.storage.jobs import Made
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import ModelKind, NewEvent, Status, TunedModel, TuningCheckpoint, TuningJob
from stillhouse.wire.fine_tuning import NewJob

__all__ = ["Course", "Site", "fail", "model_in"]

MOST_EVENTS = 1_000
"""Steps of a job that are told as events; the results file has them all."""
ATTEMPTS = 3
"""Times that a training process is started that is killed without getting any further."""
LOOK = 0.5
"""Seconds between two looks at what a training process tells."""


class Site(Protocol):
    """Where a worker works, as far as jobs need it."""

    @property
    def store(self) -> Store: ...

    @property
    def home(self) -> Path: ...

    @property
    def worker(self) -> str: ...

    @property
    def checkpoint_every(self) -> float: ...


@final
@dataclass
class Course:
    """One training, watched from its start or from where it was left."""

    site: Site
    job: TuningJob
    asked: NewJob
    folder: JobFolder
    base: str
    total: int = 0
    read: int = 0
    """Bytes of what the process told that have been passed on."""
    begun: tuple[int, float] | None = None
    """The first step that was seen here, and when."""
    failure: dict[str, Any] | None = None
    done: bool = False
    steps: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is to be added to the job's metadata."""

    async def run(self) -> bool:
        """Train to the end; False where the job is not to be gone on with here: paused, cancelled, failed, lost."""
        killed, before = 0, -1
        while not self.done:
            code = await self._attend()
            if code is None:
                return False
            if self.failure is not None:
                code, words = self.failure["code"], self.failure["failed"]
                param = "training_file" if code == "invalid_training_file" else None
                await fail(self.site, self.job.id, code, words, param)
                return False
            killed, before = (killed + 1 if before == self.steps else 1), self.steps
            if not self.done and killed >= ATTEMPTS:
                by = f"by the signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
                words = (
                    f"The training process ended {by} {killed} times at the same step, most often for want of memory."
                )
                await fail(self.site, self.job.id, "training_error", words)
                return False
        return True

    async def _attend(self) -> int | None:
        """A training process from start to end, its exit code; None when it was ended because the job is not ours."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "stillhouse.jobs.teach",
            str(self.folder.path),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(process.wait()), LOOK)
                if not await self._pass_on():
                    return None
                if process.returncode is not None:
                    return process.returncode
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _pass_on(self) -> bool:
        """Tell clients what the process told since; whether the job is still ours."""
        lines, self.read = await asyncio.to_thread(self.folder.told, self.read)
        if not lines:
            job = await self.site.store.jobs.find(self.job.id)
            return job is not None and job.status is Status.RUNNING and job.owner == self.site.worker
        events, kept, moved = self._heard(lines)

        def advance(job: TuningJob) -> TuningJob:
            return replace(job, ends=self._estimate(), **({} if moved is None else {"tokens": moved}))

        made = Made(checkpoints=[(checkpoint, self._model(checkpoint)) for checkpoint in kept])
        running = [Status.RUNNING]
        return bool(await self.site.store.jobs.move(self.job.id, running, advance, events, made, self.site.worker))

    def _heard(self, lines: Sequence[dict[str, Any]]) -> tuple[list[NewEvent], list[TuningCheckpoint], int | None]:
        """What lines come to: events, what is kept of epochs, and the tokens of the whole training."""
        events: list[NewEvent] = []
        kept: list[TuningCheckpoint] = []
        tokens = None
        for line in lines:
            if "total" in line:
                self.total, tokens = line["total"], line["tokens"]
                if line["cut"]:
                    words = f"{line['cut']} example(s) were longer than the model's context and were truncated"
                    events.append(NewEvent("cut", words, "warn"))
            elif "step" in line:
                self.steps = max(self.steps, line["step"])
                if self._is_told(line):
                    events.append(step_event(line["step"], self.total, _figures(line)))
            elif "kept" in line:
                kept.append(self._checkpoint(line))
                events.append(checkpoint_event(line["kept"], kept[-1].model))
            else:
                events += self._said(line)
        return events, kept[-3:], tokens

    def _said(self, line: dict[str, Any]) -> list[NewEvent]:
        """What a line comes to that is about the ladder or the end."""
        match line:
            case {"rung": number, "name": name, "valid_mean_token_accuracy": agreement}:
                return [rung_event(number, name, agreement)]
            case {"note": text, "warning": warning}:
                return [note_event(text, warning)]
            case {"certificate": certificate, "words": words, "metadata": metadata}:
                self.metadata = metadata
                return [NewEvent("certificate", words, data=orjson.dumps(certificate))]
            case {"failed": _}:
                self.failure = line
            case _:
                self.done = "done" in line
        return []

    def _is_told(self, line: dict[str, Any]) -> bool:
        every = -(-self.total // MOST_EVENTS)
        return line["step"] % every == 0 or line["step"] in (1, self.total) or "full_valid_loss" in line

    def _checkpoint(self, line: dict[str, Any]) -> TuningCheckpoint:
        step: int = line["kept"]
        name = self.job.model or ""
        if step != self.total:
            name = checkpoint_name(self.base, self.asked.suffix, self.job.id, step)
        metrics = {"step": step, **_figures(line), "type": self.asked.method}
        return TuningCheckpoint(new_id("ftckpt_"), self.job.id, int(time.time()), step, name, orjson.dumps(metrics))

    def _model(self, checkpoint: TuningCheckpoint) -> TunedModel | None:
        """The model of an earlier epoch; the last one is there once the job has succeeded."""
        return (
            None
            if checkpoint.model == self.job.model
            else model_in(self.job, checkpoint.model, f"epochs/{checkpoint.step}")
        )

    def _estimate(self) -> int | None:
        """When it will be done, once a hundredth is and some was done here."""
        now = time.time()
        if self.begun is None:
            self.begun = self.steps, now
        step, since = self.begun
        if self.steps <= step or self.steps < self.total / 100:
            return None
        return int(now + (now - since) / (self.steps - step) * (self.total - self.steps))


async def fail(site: Site, job_id: str, code: str, message: str, param: str | None = None) -> None:
    """Bring a job to a bad end that clients are told the reason of."""
    error = orjson.dumps({"code": code, "message": message, "param": param})

    def end(job: TuningJob) -> TuningJob:
        return replace(job, status=Status.FAILED, error=error, ends=int(time.time()), model=None)

    unfinished = [status for status in Status if not status.final]
    await site.store.jobs.move(job_id, unfinished, end, [NewEvent("failed", message, "error")])


def model_in(job: TuningJob, name: str, place: str, kind: ModelKind = ModelKind.LANGUAGE) -> TunedModel:
    """A model of a job, in a place in the job's folder."""
    return TunedModel(name, job.project, int(time.time()), job.id, kind, f"jobs/{job.id}/{place}")


def _figures(line: dict[str, Any]) -> dict[str, float]:
    return {name: cast(float, value) for name, value in line.items() if name not in ("step", "kept")}
