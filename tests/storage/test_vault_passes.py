"""Passes over all bodies and all keys: nothing is left out, nothing is lost, and what was killed goes on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest
from sqlalchemy import select, update

from stillhouse.errors import UsageError
from stillhouse.storage import vault_passes
from stillhouse.storage.eval_records import DoneItem, RunCounts, StoredItem
from stillhouse.storage.master_key import MASTER_FILE, MasterKey, MasterKeys
from stillhouse.storage.records import KeptAnswer, Seen
from stillhouse.storage.sealing import is_sealed, key_id_of
from stillhouse.storage.store import Store
from stillhouse.storage.tables import COMPLETIONS, DATA_KEYS, EVAL_ITEMS, EVAL_RUNS, KEPT_ANSWERS
from stillhouse.storage.vault import FRESH
from tests.storage.databases import kept_bytes
from tests.storage.kept_evals import a_run, an_eval
from tests.storage.test_vault import CANARY, about


@pytest.fixture
async def store(own_database, tmp_path, monkeypatch):
    monkeypatch.setattr(vault_passes, "KNOWN", 0)
    monkeypatch.setattr(vault_passes, "AT_ONCE", 3)
    monkeypatch.setattr(vault_passes, "KEYS_AT_ONCE", 2)
    store = await Store.open(own_database, tmp_path)
    yield store
    await store.close()


async def fill(store: Store) -> list:
    made = [about(("ada", "bob", None)[number % 3], number) for number in range(10)]
    await store.completions.add("p", *made[:8])
    await store.completions.add("q", *made[8:])
    claim = await store.answers.claim("p", b"place", None)
    await store.answers.keep(claim, KeptAnswer(200, {}, CANARY.encode()))
    return made


async def read(store: Store) -> list:
    ids = [f"chatcmpl-{number:06}" for number in range(10)]
    return [*await store.completions.several("p", ids), *await store.completions.several("q", ids)]


async def bodies(store: Store) -> list[bytes]:
    async with store.database.reading() as connection:
        rows = (await connection.execute(select(COMPLETIONS.c.answer, COMPLETIONS.c.messages))).all()
        kept = (await connection.execute(select(KEPT_ANSWERS.c.content))).scalars().all()
    return [*[body for row in rows for body in row], *kept]


async def test_what_was_there_before_is_encrypted(store, own_database, tmp_path):
    made = await fill(store)
    await store.vault.make("terminal:ada")
    assert await read(store) == made
    looked: list[int] = []
    passed = await store.vault_passes.encrypt("terminal:ada", looked.append)
    assert (passed.rows, passed.sealed, passed.dropped) == (11, 21, 0)
    assert sum(looked) == 11
    assert all(is_sealed(body) for body in await bodies(store))
    assert await read(store) == made
    seen = await store.answers.claim("p", b"place", None)
    assert isinstance(seen, Seen)
    assert seen.answer == KeptAnswer(200, {}, CANARY.encode())
    again = await store.vault_passes.encrypt("terminal:ada")
    assert (again.rows, again.sealed) == (11, 0)
    await store.traces.scrub()
    await store.close()
    if own_database is None:  # PostgreSQL's values are looked at, not the pages of its files
        assert CANARY.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert CANARY.encode() not in await asyncio.to_thread(kept_bytes, own_database, tmp_path)


async def test_nothing_that_a_running_server_adds_around_a_pass_stays_in_the_clear(
    store, own_database, tmp_path, monkeypatch
):
    monkeypatch.setattr(vault_passes, "KNOWN", 2 * FRESH + 1)  # as it is elsewhere
    server = await Store.open(own_database, tmp_path)
    try:
        await server.completions.add("p", about(None, 1))
        await store.vault.make("terminal:ada")
        await server.completions.add("p", about(None, 2))
        assert await store.vault_passes.unsealed() == 4
        await store.vault_passes.encrypt("terminal:ada")
        await server.completions.add("p", about(None, 3))
    finally:
        await server.close()
    assert await store.vault_passes.unsealed() == 0
    found = await bodies(store)
    assert len(found) == 6
    assert all(map(is_sealed, found))


async def test_a_pass_that_was_killed_goes_on_where_it_was(store, own_database, tmp_path):
    made = await fill(store)
    await store.vault.make("terminal:ada")

    def kill(rows: int) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            await store.vault_passes.encrypt("terminal:ada", kill)
    assert 0 < sum(is_sealed(body) for body in await bodies(store)) < 21
    assert await read(store) == made
    await store.close()
    store = await Store.open(own_database, tmp_path)
    looked: list[int] = []
    passed = await store.vault_passes.encrypt("terminal:ada", looked.append)
    assert (passed.rows, passed.sealed) == (11, 21)
    assert sum(looked) == 11 - 6
    assert await read(store) == made
    await store.close()


async def test_bodies_get_newer_keys_and_old_ones_go_once_nothing_needs_them(store, monkeypatch):
    await store.vault.make("terminal:ada")
    made = await fill(store)
    before = {key_id_of(body) for body in await bodies(store)}
    assert await store.vault_passes.retire_keys("terminal:ada") == len(before)
    assert await read(store) == made  # retired keys open still
    passed = await store.vault_passes.encrypt("terminal:ada")
    assert (passed.sealed, passed.dropped) == (21, 0)
    assert not before & {key_id_of(body) for body in await bodies(store)}
    async with store.database.writing() as connection:
        await connection.execute(update(DATA_KEYS).where(DATA_KEYS.c.retired.is_not(None)).values(retired=1))
    assert (await store.vault_passes.encrypt("terminal:ada")).dropped == len(before)
    assert await read(store) == made
    assert (await store.vault.status()).retired == 0


async def test_what_was_erased_stays_erased(store):
    await store.vault.make("terminal:ada")
    await fill(store)
    await store.vault.shred("p", "ada", "terminal:ada")
    await store.vault_passes.retire_keys("terminal:ada")
    await store.vault_passes.encrypt("terminal:ada")
    assert (await store.completions.get("p", "chatcmpl-000000")).is_erased
    assert await store.completions.get("p", "chatcmpl-000001") == about("bob", 1)


async def test_the_master_key_is_changed_and_no_body_is_touched(store, own_database, tmp_path):
    await store.vault.make("terminal:ada")
    made = await fill(store)
    server = await Store.open(own_database, tmp_path)
    assert await server.completions.get("p", "chatcmpl-000000") == made[0]
    old, before = MasterKeys(tmp_path).current, await bodies(store)
    new, closed = await store.vault_passes.change_master("terminal:ada")
    assert new != old
    assert closed == 7  # of subjects and months in two projects, and the one that finds subjects
    assert MasterKeys(tmp_path).all() == (new,)
    assert await bodies(store) == before
    assert await read(store) == made
    assert await server.completions.get("p", "chatcmpl-000001") == made[1]
    await server.completions.add("p", about("new", 20))  # by a key that the new master closes
    await server.close()
    assert await store.completions.get("p", "chatcmpl-000020") == about("new", 20)
    verdict = await store.audit.verify()
    assert (verdict.is_whole, verdict.signed) == (True, verdict.count)


async def test_a_change_of_the_master_key_that_was_killed_goes_on(store, own_database, tmp_path, monkeypatch):
    await store.vault.make("terminal:ada")
    made = await fill(store)
    rewrap, calls = store.vault_passes._rewrap_some, []

    async def killed(new):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(new)
        return await rewrap(new)

    monkeypatch.setattr(store.vault_passes, "_rewrap_some", killed)
    with pytest.raises(KeyboardInterrupt):
        await store.vault_passes.change_master("terminal:ada")
    assert len(MasterKeys(tmp_path).all()) == 2
    assert await read(store) == made
    await store.close()
    store = await Store.open(own_database, tmp_path)
    assert await read(store) == made
    new, closed = await store.vault_passes.change_master("terminal:ada")
    assert (new, closed) == (calls[0], 3)
    assert MasterKeys(tmp_path).all() == (new,)
    assert await read(store) == made
    await store.close()


async def test_a_master_key_in_the_environment_is_changed_there(store, own_database, tmp_path, monkeypatch):
    old, new = MasterKey.new(), MasterKey.new()
    await store.close()
    monkeypatch.setenv("STILLHOUSE_MASTER_KEY", old.text)
    store = await Store.open(own_database, tmp_path)
    await store.vault.make("terminal:ada")
    made = await fill(store)
    with pytest.raises(UsageError, match="in front of the old one"):
        await store.vault_passes.change_master("terminal:ada")
    await store.close()
    monkeypatch.setenv("STILLHOUSE_MASTER_KEY", f"{new.text},{old.text}")
    store = await Store.open(own_database, tmp_path)
    assert (await store.vault_passes.change_master("terminal:ada"))[0] == new
    await store.close()
    monkeypatch.setenv("STILLHOUSE_MASTER_KEY", new.text)
    store = await Store.open(own_database, tmp_path)
    assert await read(store) == made
    assert not (tmp_path / MASTER_FILE).exists()
    await store.close()


async def test_evals_are_encrypted_as_well(store):
    await store.evals.add("p", an_eval(1))
    await store.vault.make("terminal:ada")
    await store.eval_runs.add("p", a_run(1))
    await store.eval_runs.move(a_run(1).id, "in_progress")
    item = StoredItem("item-1", 0, "pass", CANARY.encode())
    assert await store.eval_items.add(a_run(1).id, [DoneItem(item, RunCounts())])
    async with store.database.reading() as connection:
        kept = [*(await connection.execute(select(EVAL_ITEMS.c.content))).scalars()]
        kept += (await connection.execute(select(EVAL_RUNS.c.source))).scalars()
    assert all(is_sealed(body) for body in kept)
    assert len(kept) == 2
    await store.vault_passes.retire_keys("terminal:ada")
    assert (await store.vault_passes.encrypt("terminal:ada")).sealed == 2
    assert await store.eval_items.get(a_run(1).id, "item-1") == item
    assert (await store.eval_runs.get("p", a_run(1).eval_id, a_run(1).id)).source == a_run(1).source


async def test_there_is_nothing_to_pass_without_a_vault(store):
    for work in (store.vault_passes.encrypt, store.vault_passes.retire_keys, store.vault_passes.change_master):
        with pytest.raises(UsageError, match="vault init"):
            await work("terminal:ada")


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from stillhouse.storage import vault_passes
from stillhouse.storage.store import Store

vault_passes.AT_ONCE = 3
vault_passes.KNOWN = 0

async def work():
    store = await Store.open(None, Path(sys.argv[1]))
    await store.vault_passes.encrypt("terminal", lambda rows: os.kill(os.getpid(), signal.SIGKILL))

asyncio.run(work())
"""


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
async def test_a_pass_whose_process_was_killed_goes_on_and_the_log_stays_whole(store, tmp_path):
    made = await fill(store)
    await store.vault.make("terminal:ada")
    for _ in range(2):
        killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED, str(tmp_path)], check=False)
        assert killed.returncode == -signal.SIGKILL
    assert 0 < sum(is_sealed(body) for body in await bodies(store)) < 21
    passed = await store.vault_passes.encrypt("terminal:ada")
    assert (passed.rows, passed.sealed) == (11, 21)
    assert await read(store) == made
    verdict = await store.audit.verify()
    assert (verdict.is_whole, verdict.signed) == (True, verdict.count)
