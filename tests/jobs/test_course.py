"""Course: a training process that keeps dying fails its job, and one that is not ours any more is let go."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from dataclasses import replace

import pytest

from stillhouse.jobs.course import Course, model_in
from stillhouse.jobs.job_folder import JobFolder
from stillhouse.jobs.workflows import Shop
from stillhouse.storage.records import Cut
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import ModelKind, Status
from stillhouse.wire.fine_tuning import NewJob
from tests.jobs.working import add_job, until


@pytest.fixture
async def course(tmp_path, own_database):
    """The course of a running job, whose folder another process holds."""
    store = await Store.open(own_database, tmp_path)
    asked = NewJob("small", "file-1")
    job_id = await add_job(store, asked)
    shop, folder = Shop(store, tmp_path, "w"), JobFolder.of(tmp_path, job_id)
    folder.write_rows("train", [])

    def run(job):
        return replace(job, status=Status.RUNNING, owner="w", model="ft:small:local::12345678")

    job = await store.jobs.move(job_id, list(Status), run)
    yield Course(shop, job, asked, folder, "small")
    await store.close()


def children() -> list[int]:
    told = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True
    )
    return [int(line.split()[0]) for line in told.stdout.splitlines() if "stillhouse.jobs.teach" in line]


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)  # processes and signals: no database matters
async def test_a_process_that_is_killed_without_getting_further_is_started_only_so_often(course):
    course.folder.lock.touch()
    held = course.folder.lock.open("w")
    import fcntl

    fcntl.flock(held, fcntl.LOCK_EX)
    running = asyncio.create_task(course.run())
    killed: set[int] = set()
    while not running.done():
        for pid in children():
            if pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.05)
    held.close()
    assert not running.result()
    assert len(killed) == 3
    job = await course.site.store.jobs.find(course.job.id)
    error = json.loads(job.error)
    assert (job.status, error["code"], error["param"]) == (Status.FAILED, "training_error", None)
    assert "SIGKILL 3 times" in error["message"]


async def test_a_job_that_another_worker_has_is_let_go(course):
    import fcntl

    course.folder.lock.touch()
    held = course.folder.lock.open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    running = asyncio.create_task(course.run())
    await until(_there)
    await course.site.store.jobs.move(course.job.id, [Status.RUNNING], lambda job: replace(job, owner="other"))
    assert not await asyncio.wait_for(running, 20)
    assert children() == []
    assert (await course.site.store.jobs.find(course.job.id)).status is Status.RUNNING
    held.close()


async def _there() -> bool:
    return bool(children())


async def test_of_many_steps_some_are_told_and_time_is_estimated(course):
    course.folder.tell({"total": 5000, "tokens": 7, "cut": 0})
    for step in range(1, 5001):
        course.folder.tell({"step": step, "train_loss": 1.0})
    assert await course._pass_on()
    job = await course.site.store.jobs.find(course.job.id)
    assert job.tokens == 7
    page = await course.site.store.jobs.events(course.job.id, Cut(2000))
    assert 1000 <= len([event for event in page.rows if event.metrics]) <= 1002


async def test_a_model_lies_in_its_jobs_folder(course):
    made = model_in(course.job, "ft:x", "bundle", ModelKind.BUNDLE)
    assert made.folder == f"jobs/{course.job.id}/bundle"
