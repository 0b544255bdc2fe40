"""Crew: a worker is there once there is work, again when it was killed, and gone with the gateway."""

from __future__ import annotations

import os
import signal
import subprocess

from stillhouse.gateway.crew import Crew
from stillhouse.storage.store import Store
from tests.jobs.working import until
from tests.storage.databases import SLOWLY_ON_BOTH


def children() -> list[int]:
    told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True)
    found = [int(pid) for pid in told.stdout.split()]
    return [pid for pid in found if "stillhouse.jobs.worker" in _command(pid)]


def _command(pid: int) -> str:
    told = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return told.stdout


async def test_no_worker_is_started_where_nothing_was_ever_kept(tmp_path):
    async with Crew(None, tmp_path):
        assert children() == []


@SLOWLY_ON_BOTH
async def test_a_killed_worker_is_replaced_and_the_last_ends_with_the_crew(tmp_path, own_database):
    store = await Store.open(own_database, tmp_path)

    async def alive() -> list:
        return [each for each in await store.workers.all() if not each.ended]

    async with Crew(own_database, tmp_path):  # there is a database, so there may be work
        [first] = await until(alive)
        [pid] = children()
        os.kill(pid, signal.SIGKILL)

        async def another() -> bool:
            return any(each.id != first.id for each in await alive())

        await until(another)
        assert [pid] != children()
    assert children() == []
    assert await alive() == []
    await store.close()


async def test_a_crew_that_is_dismissed_ends_while_the_gateway_goes_on_and_is_not_woken(tmp_path):
    store = await Store.open(None, tmp_path)

    async def alive() -> bool:
        return any(not each.ended for each in await store.workers.all())

    async with Crew(None, tmp_path) as crew:
        await until(alive)
        crew.dismiss()

        async def gone() -> bool:
            return not children()

        await until(gone)
        crew.wake()
        assert children() == []
    assert not await alive()
    await store.close()


async def test_a_worker_that_does_not_end_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("stillhouse.gateway.crew.SECONDS_TO_END", 0.5)
    store = await Store.open(None, tmp_path)

    async def alive() -> bool:
        return any(not each.ended for each in await store.workers.all())

    async with Crew(None, tmp_path):
        await until(alive)
        os.kill(children()[0], signal.SIGSTOP)
    assert children() == []
    await store.close()
