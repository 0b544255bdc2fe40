"""Worker: orders become workflows, whose steps survive whatever becomes of the process."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing

import pytest

from stillhouse.jobs.worker import Setting
from stillhouse.jobs.workflows import enqueue
from stillhouse.storage.store import Store
from stillhouse.wire.fine_tuning import NewJob
from tests.jobs.working import add_job, ended, until, worker
from tests.storage.databases import SLOWLY_ON_BOTH

NOTING = {"module": "tests.jobs.noting_worker", "beat": 0.2, "patience": 5.0, "poll": 0.1}


@pytest.fixture
async def store(own_database, tmp_path):
    opened = await Store.open(own_database, tmp_path)
    yield opened
    await opened.close()


def notes(home) -> list[list[str]]:
    path = home / "notes"
    return [line.split(" ", 2) for line in path.read_text().splitlines()] if path.exists() else []


async def noted(home, *words: str) -> object:
    """Once somebody has noted words."""

    async def ready() -> bool:
        return any(note[1:] == list(words) for note in notes(home))

    return await until(ready)


async def test_a_killed_workers_workflow_is_gone_on_with_at_the_step_where_it_was(store, own_database, tmp_path):
    with worker(tmp_path, database=own_database, **NOTING) as one:
        await enqueue(store, "slow", "a")
        await noted(tmp_path, "second", "a")
        one.send_signal(signal.SIGKILL)
        one.wait()
    with worker(tmp_path, database=own_database, **NOTING) as other:
        await until(lambda: _begun_twice(tmp_path))
        (tmp_path / "a").touch()
        await noted(tmp_path, "done", "a")
        assert [(int(pid), *rest) for pid, *rest in notes(tmp_path)] == [
            (one.pid, "first", "a"),
            (one.pid, "second", "a"),
            (other.pid, "second", "a"),
            (other.pid, "done", "a"),
        ]


async def _stopped_between_writes(process, home) -> bool:
    """Stop a process, unless it holds the lock of a SQLite file in the home folder, which would stop all others."""
    process.send_signal(signal.SIGSTOP)
    for file in [*home.glob("*.db"), *home.glob("*.sqlite")]:
        try:
            with closing(sqlite3.connect(file, timeout=0.5)) as connection:
                connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            return False
    return True


async def _begun_twice(home) -> bool:
    return [note[1] for note in notes(home)].count("second") == 2


@SLOWLY_ON_BOTH
async def test_a_worker_that_is_told_to_end_leaves_its_work_to_the_other(store, own_database, tmp_path):
    with worker(tmp_path, database=own_database, **NOTING) as one:
        await enqueue(store, "slow", "a")
        await noted(tmp_path, "second", "a")
        with worker(tmp_path, database=own_database, **NOTING) as other:
            one.send_signal(signal.SIGTERM)
            assert one.wait(20) == 0
            (tmp_path / "a").touch()
            await noted(tmp_path, "done", "a")
            assert int(notes(tmp_path)[-1][0]) == other.pid


@SLOWLY_ON_BOTH
async def test_a_silent_worker_is_taken_for_dead_and_ends_when_it_wakes(store, tmp_path, own_database):
    with worker(tmp_path, database=own_database, **NOTING) as one:
        await enqueue(store, "slow", "a")
        await noted(tmp_path, "second", "a")
        with worker(tmp_path, database=own_database, **NOTING) as other:
            await until(lambda: _stopped_between_writes(one, tmp_path))
            await until(lambda: _begun_twice(tmp_path))
            one.send_signal(signal.SIGCONT)
            assert one.wait(20) == 70
            (tmp_path / "a").touch()
            await noted(tmp_path, "done", "a")
            assert [note[0] for note in notes(tmp_path) if note[1] == "done"] == [str(other.pid)]


async def test_two_workers_share_the_work_and_do_nothing_twice(store, own_database, tmp_path):
    names = [f"n{number}" for number in range(12)]
    for name in names:
        (tmp_path / name).touch()
        await enqueue(store, "slow", name)
    with worker(tmp_path, database=own_database, **NOTING), worker(tmp_path, database=own_database, **NOTING):
        for name in names:
            await noted(tmp_path, "done", name)
    done = [note[2] for note in notes(tmp_path) if note[1] == "done"]
    assert sorted(done) == sorted(names)


async def test_an_error_is_told_and_ends_its_workflow_alone(store, own_database, tmp_path):
    (tmp_path / "a").touch()
    with worker(tmp_path, database=own_database, **NOTING):
        await enqueue(store, "bad", "x")
        await enqueue(store, "slow", "a")
        await noted(tmp_path, "broken", "x no x")
        await noted(tmp_path, "done", "a")
    assert ["second", "x"] not in [note[1:] for note in notes(tmp_path)]


async def test_a_worker_ends_with_the_pipe_of_who_started_it(tmp_path):
    with worker(tmp_path, **NOTING) as one:
        store = await Store.open(None, tmp_path)
        await until(store.workers.all)
        one.stdin.close()
        assert one.wait(20) == 0
        assert [each.ended for each in await store.workers.all()] == [True]
        await store.close()


async def test_what_no_queue_knows_is_ordered_anew_when_a_worker_starts(store, own_database, tmp_path):
    job_id = await add_job(store, NewJob("small", "file-none"))
    for order in await store.orders.waiting():
        await store.orders.taken(order)
    with worker(tmp_path, database=own_database):
        job = await ended(store, job_id)
    assert b"deleted_training_file" in job.error


def test_a_setting_is_read_from_one_line(tmp_path):
    line = f'{{"home": "{tmp_path}", "database": null, "gateway": "http://h/v1"}}\n'.encode()
    assert Setting.read(line) == Setting(tmp_path, None, "http://h/v1")
