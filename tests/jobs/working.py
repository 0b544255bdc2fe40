"""Workers as processes, and waiting for what they do."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from stillhouse.storage.file_records import NewFile
from stillhouse.storage.ids import new_id
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import Status, TuningJob
from stillhouse.wire.fine_tuning import NewJob, write_request
from tests.jobs.writers import jsonl

PROJECT = "p"


@contextmanager
def worker(home: Path, module: str = "stillhouse.jobs.worker", **setting) -> Generator[subprocess.Popen]:
    """A worker as a gateway starts it; it is killed at the end unless it has ended."""
    told = {"home": str(home), "database": None, "gateway": None, **setting}
    process = subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE)
    try:
        process.stdin.write(json.dumps(told).encode() + b"\n")
        process.stdin.flush()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.stdin.close()
        process.wait()


async def until(ready: Callable[[], Awaitable[object]], seconds: float = 120) -> object:
    """What is waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = await ready()
        if found:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"it did not come within {seconds} seconds")


async def add_file(store: Store, rows: list, purpose: str = "fine-tune") -> str:
    """A file of rows, or of bytes."""
    content = rows if isinstance(rows, bytes) else jsonl(rows)
    return (await store.files.put(PROJECT, NewFile("rows.jsonl", purpose), [content])).id


async def add_job(store: Store, asked: NewJob) -> str:
    """A job as the gateway orders it."""
    job = TuningJob(PROJECT, new_id("ftjob-"), int(time.time()), Status.VALIDATING, write_request(asked))
    await store.jobs.create(job)
    return job.id


async def ended(store: Store, job_id: str, seconds: float = 120) -> TuningJob:
    """A job once it is at its end."""

    async def ready() -> TuningJob | None:
        job = await store.jobs.find(job_id)
        return job if job.status.final else None

    return await until(ready, seconds)
