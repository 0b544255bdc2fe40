"""Kept answers: who comes first answers, all others see that, and after a day nobody knows of it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select, update

from stillhouse.errors import StorageBusy
from stillhouse.storage import answers as module
from stillhouse.storage.answers import LASTS, LEASE, Answers
from stillhouse.storage.backup import backup
from stillhouse.storage.database import Database
from stillhouse.storage.records import Claim, Durability, KeptAnswer, Seen
from stillhouse.storage.restore import restore
from stillhouse.storage.store import Store
from stillhouse.storage.tables import KEPT_ANSWERS
from stillhouse.storage.writer import Limits, Writer

PLACE, BODY = b"\x00\xff of a call", b"\x01\xfe of its body"
ANSWER = KeptAnswer(201, {"content-type": "application/json"}, b'{"id": "\xff\x00"}')


@pytest.fixture
def answers(database, writer) -> Answers:
    return Answers(database, writer)


async def pass_time(database: Database, seconds: int) -> None:
    """Make all that is kept so much older."""
    async with database.writing() as connection:
        await connection.execute(update(KEPT_ANSWERS).values(expires=KEPT_ANSWERS.c.expires - seconds))


async def count(database: Database) -> int:
    async with database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(KEPT_ANSWERS))).scalar_one()


async def test_who_comes_later_sees_the_first_and_then_its_answer(answers):
    claim = await answers.claim("p", PLACE, BODY)
    assert isinstance(claim, Claim)
    assert await answers.claim("p", PLACE, b"another") == Seen(BODY, None)
    assert await answers.keep(claim, ANSWER)
    assert await answers.claim("p", PLACE, None) == Seen(BODY, ANSWER)
    assert not await answers.keep(claim, KeptAnswer(200, {}, b"another")), "it is answered once"
    assert await answers.claim("p", PLACE, BODY) == Seen(BODY, ANSWER)


async def test_projects_and_places_are_apart(answers):
    await answers.keep(await answers.claim("p", PLACE, BODY), ANSWER)
    assert isinstance(await answers.claim("q", PLACE, BODY), Claim)
    assert isinstance(await answers.claim("p", b"elsewhere", BODY), Claim)


async def test_a_body_need_not_be_known(answers):
    assert isinstance(await answers.claim("p", PLACE, None), Claim)
    assert await answers.claim("p", PLACE, None) == Seen(None, None)


async def test_of_many_at_once_one_is_the_first_also_in_another_program(database, answers):
    other = await Database.open(database.url)
    writer = Writer(other)
    try:
        everybody = [answers, Answers(other, writer)] * 10
        found = await asyncio.gather(*[one.claim("p", PLACE, BODY) for one in everybody])
    finally:
        await writer.close()
        await other.close()
    assert len([each for each in found if isinstance(each, Claim)]) == 1
    assert len([each for each in found if each == Seen(BODY, None)]) == 19


async def test_who_gives_up_leaves_no_trace(database, answers):
    await answers.release(await answers.claim("p", PLACE, BODY))
    assert await count(database) == 0
    assert isinstance(await answers.claim("p", PLACE, BODY), Claim)


async def test_a_claim_that_is_not_renewed_is_anybody_s(database, answers):
    dead = await answers.claim("p", PLACE, BODY)
    await pass_time(database, LEASE - 8)
    assert await answers.claim("p", PLACE, BODY) == Seen(BODY, None)
    await answers.renew(dead)
    await pass_time(database, LEASE - 8)
    assert await answers.claim("p", PLACE, BODY) == Seen(BODY, None)
    await pass_time(database, 8)
    heir = await answers.claim("p", PLACE, b"new")
    assert isinstance(heir, Claim)
    assert not await answers.keep(dead, ANSWER)
    await answers.release(dead)
    await answers.renew(dead)
    assert await answers.keep(heir, ANSWER)
    assert await answers.claim("p", PLACE, BODY) == Seen(b"new", ANSWER)


@pytest.mark.parametrize("at_once", [2, 500])
async def test_after_a_day_an_answer_is_gone(database, answers, monkeypatch, at_once):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    for number in range(5):
        await answers.keep(await answers.claim("p", b"%d" % number, BODY), ANSWER)
    await pass_time(database, LASTS - 60)
    await answers.tidy()
    assert await answers.claim("p", b"0", BODY) == Seen(BODY, ANSWER)
    await pass_time(database, 60)
    young = await answers.claim("p", b"0", BODY)
    assert isinstance(young, Claim), "what has expired is as if it were not there"
    await answers.tidy()
    assert await count(database) == 1
    assert await answers.keep(young, ANSWER)


async def test_it_is_on_the_disk_though_other_rows_are_acknowledged_early(url, tmp_path):
    store = await Store.open(url, tmp_path, Durability.ASYNC)
    await store.answers.keep(await store.answers.claim("p", PLACE, BODY), ANSWER)
    again = await Store.open(url, tmp_path)  # beside the first, which has not been closed
    assert await again.answers.claim("p", PLACE, BODY) == Seen(BODY, ANSWER)
    for each in (again, store):
        await each.close()


async def test_a_server_that_has_too_much_to_write_takes_no_more(database):
    writer = Writer(database, limits=Limits(writes=0))
    with pytest.raises(StorageBusy):
        await Answers(database, writer).claim("p", PLACE, BODY)
    await writer.close()


async def test_a_backup_holds_what_was_answered(url, tmp_path):
    store = await Store.open(url, tmp_path / "home")
    await store.answers.keep(await store.answers.claim("p", PLACE, BODY), ANSWER)
    await store.answers.claim("p", b"open", None)
    manifest = await backup(store, tmp_path / "home", tmp_path / "b.tar")
    await store.close()
    assert manifest.tables["kept_answers"] == 2
    await restore(tmp_path / "b.tar", tmp_path / "restored", None)
    again = await Store.open(None, tmp_path / "restored")
    assert await again.answers.claim("p", PLACE, BODY) == Seen(BODY, ANSWER)
    assert await again.answers.claim("p", b"open", None) == Seen(None, None)
    await again.close()
