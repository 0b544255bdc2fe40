"""Data keys: one for each owner, made once, closed by the master key, and found without the subject's name."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from stillhouse.storage.data_keys import MONTH, SUBJECT, Owner, month_of
from stillhouse.storage.store import Store
from stillhouse.storage.tables import DATA_KEYS

ADA, MONTHLY = Owner("p", SUBJECT, "ada lovelace"), Owner("p", MONTH, "2026-11")


@pytest.fixture
async def store(own_database, tmp_path):
    store = await Store.open(own_database, tmp_path)
    await store.vault.make("terminal:ada")
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("created", "month"), [(0, "1970-01"), (1_795_000_000, "2026-11"), (10**18, "0000-00"), (-(10**18), "0000-00")]
)
def test_months_are_of_utc_and_times_that_no_calendar_has_share_one(created, month):
    assert month_of(created) == month


async def test_an_owner_has_one_key_whoever_asks_and_how_often(store, own_database, tmp_path):
    other = await Store.open(own_database, tmp_path)
    asked = [each.vault.keys.to_close([ADA, MONTHLY]) for each in (store, other, store, other)]
    found = await asyncio.gather(*asked)
    assert len({keys[ADA].id for keys in found}) == len({keys[MONTHLY].id for keys in found}) == 1
    assert found[0][ADA].id != found[0][MONTHLY].id
    opened = await other.vault.keys.to_open([found[0][ADA].id, "0" * 32])
    assert set(opened) == {found[0][ADA].id}
    await other.close()


async def test_the_database_has_neither_the_subject_nor_an_open_key(store):
    await store.vault.keys.to_close([ADA])
    async with store.database.reading() as connection:
        rows = (await connection.execute(select(DATA_KEYS))).all()
    assert not any(b"ada" in bytes(value) for row in rows for value in row if isinstance(value, bytes))
    assert {len(row.wrapped) for row in rows} == {12 + 32 + 16}


async def test_a_subject_is_another_in_another_project(store):
    holders = {await store.vault.keys.holder(Owner(project, SUBJECT, "ada")) for project in ("p", "q")}
    assert len(holders) == 2
    assert {len(holder) for holder in holders} == {32}
