"""The vault: what is kept cannot be read without its keys, and a subject whose keys are gone is erased."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from stillhouse.errors import OnHold, StorageError, UsageError, VaultLocked
from stillhouse.storage.backup import backup
from stillhouse.storage.master_key import MASTER_FILE, MasterKey, MasterKeys
from stillhouse.storage.records import Cut, Wanted
from stillhouse.storage.restore import restore
from stillhouse.storage.sealing import is_sealed
from stillhouse.storage.store import Store
from stillhouse.storage.tables import AUDIT_HEAD, COMPLETIONS, DATA_KEYS
from tests.storage.databases import kept_bytes
from tests.storage.stored import completion, numbers

CANARY = "the heron stood in the reeds"


def about(subject: str | None, number: int):
    words = f'[{{"role":"user","content":"{CANARY} {number}"}}]'.encode()
    answer = f'{{"id":"chatcmpl-{number:06}","choices":[{{"message":{{"content":"{CANARY}"}}}}]}}'.encode()
    return replace(completion(number), messages=words, answer=answer, subject=subject)


@pytest.fixture
async def store(own_database, tmp_path):
    store = await Store.open(own_database, tmp_path)
    yield store
    await store.close()


async def reopened(store: Store, own_database, tmp_path, **options) -> Store:
    await store.close()
    return await Store.open(own_database, tmp_path, **options)


async def test_without_a_vault_all_is_as_it_was(store, own_database, tmp_path):
    await store.completions.add("p", about("ada", 1))
    assert await store.vault.status() is None
    await store.vault.check()
    assert not (tmp_path / MASTER_FILE).exists()
    assert await store.completions.get("p", "chatcmpl-000001") == about("ada", 1)
    await store.close()
    assert CANARY.encode() in await asyncio.to_thread(kept_bytes, own_database, tmp_path)


async def test_what_is_kept_is_read_as_before_and_its_words_are_nowhere(store, own_database, tmp_path):
    await store.vault.make("terminal:ada")
    made = [about("ada", 1), about("bob", 2), about(None, 3)]
    await store.completions.add("p", *made)
    assert await store.completions.get("p", "chatcmpl-000001") == made[0]
    page = await store.completions.page("p", Wanted(model="large"), Cut())
    assert numbers(page) == [3, 2, 1]
    assert [row.answer for row in page.rows] == [row.answer for row in reversed(made)]
    assert await store.completions.several("p", [row.id for row in made]) == made
    changed = await store.completions.replace_metadata("p", made[0].id, {"a": "b"})
    assert changed == replace(made[0], metadata={"a": "b"})
    assert (await store.vault.status()).keys == {"subject": 2, "month": 1}
    store = await reopened(store, own_database, tmp_path)  # with nothing in memory
    assert await store.completions.get("p", "chatcmpl-000003") == made[2]
    await store.close()
    kept = await asyncio.to_thread(kept_bytes, own_database, tmp_path)
    assert CANARY.encode() not in kept
    assert MasterKeys(tmp_path).current.secret not in kept


async def test_the_master_key_is_for_its_owner_only(store, tmp_path):
    await store.vault.make("terminal:ada")
    assert (tmp_path / MASTER_FILE).stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="already"):
        await store.vault.make("terminal:ada")
    (tmp_path / MASTER_FILE).chmod(0o644)
    with pytest.raises(StorageError, match="chmod 600"):
        MasterKeys(tmp_path).all()


@pytest.mark.parametrize("kind", ["missing", "another"])
async def test_without_its_master_key_nothing_is_read_or_written(store, own_database, tmp_path, kind):
    await store.vault.make("terminal:ada")
    await store.completions.add("p", about("ada", 1), about(None, 2))
    right = MasterKeys(tmp_path).all()
    if kind == "missing":
        (tmp_path / MASTER_FILE).unlink()
    else:
        MasterKeys(tmp_path).write(MasterKey.new())
    store = await reopened(store, own_database, tmp_path)
    try:
        told = "there is none" if kind == "missing" else f"{MASTER_FILE} has mk_"
        with pytest.raises(VaultLocked, match=told):
            await store.vault.check()
        with pytest.raises(VaultLocked, match="STILLHOUSE_MASTER_KEY_FILE"):
            await store.completions.get("p", "chatcmpl-000001")
        for subject in ("ada", "new", None):
            with pytest.raises(VaultLocked):
                await store.completions.add("p", about(subject, 3))
        assert not (await store.vault.status()).has_master
        MasterKeys(tmp_path).write(*right)
        assert await store.completions.get("p", "chatcmpl-000001") == about("ada", 1)
    finally:
        await store.close()


async def test_a_row_cannot_stand_for_another(store):
    await store.vault.make("terminal:ada")
    await store.completions.add("p", about("ada", 1), about("ada", 2))
    first, second = COMPLETIONS.c.id == "chatcmpl-000001", COMPLETIONS.c.id == "chatcmpl-000002"
    async with store.database.writing() as connection:
        body = (await connection.execute(select(COMPLETIONS.c.answer).where(first))).scalar_one()
        await connection.execute(update(COMPLETIONS).where(second).values(answer=body))
    with pytest.raises(StorageError, match="chatcmpl-000002 does not open"):
        await store.completions.get("p", "chatcmpl-000002")
    async with store.database.writing() as connection:
        await connection.execute(update(COMPLETIONS).where(first).values(answer=body[:-1] + bytes([body[-1] ^ 1])))
    with pytest.raises(StorageError, match="was changed"):
        await store.completions.get("p", "chatcmpl-000001")


async def test_a_key_cannot_stand_for_another(store, own_database, tmp_path):
    await store.vault.make("terminal:ada")
    await store.completions.add("p", about("ada", 1), about("bob", 2))
    async with store.database.writing() as connection:
        kept = (await connection.execute(select(DATA_KEYS).where(DATA_KEYS.c.kind == "subject"))).all()
        for one, other in ((kept[0], kept[1]), (kept[1], kept[0])):
            await connection.execute(update(DATA_KEYS).where(DATA_KEYS.c.id == one.id).values(wrapped=other.wrapped))
    store = await reopened(store, own_database, tmp_path)
    with pytest.raises(StorageError, match="data key does not open"):
        await store.completions.get("p", "chatcmpl-000001")
    await store.close()


async def test_a_subject_whose_keys_are_destroyed_reads_as_erased(store, own_database, tmp_path):
    await store.vault.make("terminal:ada")
    await store.completions.add("p", about("ada", 1), about("bob", 2))
    await store.completions.add("q", about("ada", 3))
    async with store.database.reading() as connection:
        wrapped = set((await connection.execute(select(DATA_KEYS.c.wrapped))).scalars())
    assert await store.vault.shred("p", "ada", "terminal:ada") == 1
    erased = await store.completions.get("p", "chatcmpl-000001")
    assert erased.is_erased
    assert (erased.messages, CANARY.encode() in erased.answer) == (b"[]", False)
    page = await store.completions.page("p", Wanted(), Cut())
    assert [row.is_erased for row in page.rows] == [False, True]
    assert await store.completions.get("q", "chatcmpl-000003") == about("ada", 3)  # of another project
    assert (await store.vault.status()).destroyed == 1
    await store.completions.add("p", about("ada", 4))  # erased is not banned: there is a new key
    assert await store.completions.get("p", "chatcmpl-000004") == about("ada", 4)
    async with store.database.reading() as connection:
        left = set((await connection.execute(select(DATA_KEYS.c.wrapped))).scalars())
    [gone] = wrapped - left
    store = await reopened(store, own_database, tmp_path)
    assert (await store.completions.get("p", "chatcmpl-000001")).is_erased
    await store.close()
    assert gone not in await asyncio.to_thread(kept_bytes, own_database, tmp_path)


async def test_a_held_subject_is_not_shredded(store):
    await store.vault.make("terminal:ada")
    await store.completions.add("p", about("ada", 1))
    hold = await store.holds.place("p", "case 7", "terminal:ada", completion="chatcmpl-000001")
    with pytest.raises(OnHold, match="case 7"):
        await store.vault.shred("p", "ada", "terminal:ada")
    await store.holds.release(hold.id, "terminal:ada")
    assert await store.vault.shred("p", "ada", "terminal:ada") == 1


async def test_another_program_stops_reading_what_was_destroyed(store, own_database, tmp_path, monkeypatch):
    monkeypatch.setattr("stillhouse.storage.vault.FRESH", 0.0)
    await store.vault.make("terminal:ada")
    server = await Store.open(own_database, tmp_path)
    await server.completions.add("p", about("ada", 1))
    assert await server.completions.get("p", "chatcmpl-000001") == about("ada", 1)
    await store.vault.shred("p", "ada", "terminal:ada")
    assert (await server.completions.get("p", "chatcmpl-000001")).is_erased
    await server.close()


async def test_two_programs_make_one_key_for_a_subject(store, own_database, tmp_path):
    await store.vault.make("terminal:ada")
    server = await Store.open(own_database, tmp_path)
    for number in range(1, 9, 2):
        await store.completions.add("p", about("ada", number))
        await server.completions.add("p", about("ada", number + 1))
    assert (await store.vault.status()).keys == {"subject": 1}
    await server.close()


async def test_keys_come_from_the_environment_or_a_named_file(store, own_database, tmp_path, monkeypatch):
    key = MasterKey.new()
    monkeypatch.setenv("STILLHOUSE_MASTER_KEY", key.text)
    store = await reopened(store, own_database, tmp_path)
    assert await store.vault.make("terminal:ada") == key.id
    assert not (tmp_path / MASTER_FILE).exists()
    await store.completions.add("p", about("ada", 1))
    monkeypatch.delenv("STILLHOUSE_MASTER_KEY")
    place = tmp_path / "elsewhere" / "key"
    MasterKeys(tmp_path, place).write(key)
    store = await reopened(store, own_database, tmp_path, master_file=place)
    assert await store.completions.get("p", "chatcmpl-000001") == about("ada", 1)
    monkeypatch.setenv("STILLHOUSE_MASTER_KEY_FILE", str(Path(place)))
    store = await reopened(store, own_database, tmp_path)
    assert await store.completions.get("p", "chatcmpl-000001") == about("ada", 1)
    await store.close()


async def test_the_log_is_signed_and_a_cut_one_is_found(store):
    await store.vault.make("terminal:ada")
    for number in range(4):
        await store.completions.add("p", about(None, number))
        await store.completions.delete("p", f"chatcmpl-{number:06}", "key:1")
    verdict = await store.audit.verify()
    assert (verdict.is_whole, verdict.count, verdict.signed) == (True, 5, 5)
    entries = [entry async for entry in store.audit.entries()]
    assert [entry.event.action for entry in entries] == ["vault.made", *["completion.deleted"] * 4]
    async with store.database.writing() as connection:
        values = {"entries": 4, "hash": entries[3].hash}
        await connection.exec_driver_sql("DELETE FROM audit_log WHERE number > 4")
        await connection.execute(update(AUDIT_HEAD).values(values))
    assert "was signed" in (await store.audit.verify()).reason
    async with store.database.writing() as connection:
        signed = {"signed_entries": 4, "signed_hash": entries[3].hash}
        await connection.execute(update(AUDIT_HEAD).values(signed))
    assert "none of the master key" in (await store.audit.verify()).reason
    async with store.database.writing() as connection:
        await connection.execute(update(AUDIT_HEAD).values(signed_entries=None, signed_hash=None, signature=None))
    assert "taken away" in (await store.audit.verify()).reason


async def test_words_are_sealed_with_an_added_48_bytes_at_most(store):
    await store.vault.make("terminal:ada")
    await store.completions.add("p", about("ada", 1))
    async with store.database.reading() as connection:
        row = (await connection.execute(select(COMPLETIONS))).one()
    assert is_sealed(row.answer)
    assert is_sealed(row.messages)
    assert len(row.answer) - len(about("ada", 1).answer) <= 50


async def test_a_backup_holds_neither_words_nor_the_master_key(store, own_database, tmp_path):
    await store.vault.make("terminal:ada")
    made = about("ada", 1)
    await store.completions.add("p", made)
    if own_database is None:
        assert CANARY.encode() not in await asyncio.to_thread(kept_bytes, None, tmp_path)  # the journal as well
    archive, home = tmp_path / "monday.tar", tmp_path / "other"
    await backup(store, tmp_path, archive)
    key = MasterKeys(tmp_path).current
    for told in (CANARY.encode(), key.secret, key.text.encode()):
        assert told not in archive.read_bytes()
    await restore(archive, home, None)
    other = await Store.open(None, home)
    try:
        with pytest.raises(VaultLocked, match=key.id):
            await other.completions.get("p", made.id)
        MasterKeys(home).write(key)
        assert await other.completions.get("p", made.id) == made
        assert (await other.audit.verify()).is_whole
    finally:
        await other.close()
