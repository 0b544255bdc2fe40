"""The audit log: one chain however many write, and every way of tampering with it is found and placed."""

from __future__ import annotations

import asyncio
import hashlib
from itertools import pairwise

import orjson
import pytest
from sqlalchemy import delete, insert, select, text, update

from stillhouse.errors import StorageError
from stillhouse.storage.audit import Audit, check_entries
from stillhouse.storage.audit_records import START, Event
from stillhouse.storage.database import Database, database_url
from stillhouse.storage.tables import AUDIT_HEAD, AUDIT_LOG
from stillhouse.storage.writer import Writer


@pytest.fixture
def audit(database, writer) -> Audit:
    return Audit(database, writer)


async def fill(audit: Audit, count: int = 6) -> None:
    for number in range(1, count + 1):
        await audit.tell(Event("thing.done", "terminal:ada", "p" if number % 2 else "q", f"thing-{number}"))


async def change(database, *statements) -> None:
    async with database.writing() as connection:
        for statement in statements:
            await connection.execute(statement)


async def test_what_was_told_is_read_in_order(audit):
    await fill(audit)
    entries = [entry async for entry in audit.entries()]
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert entries[0].previous == START
    assert all(after.previous == before.hash for before, after in pairwise(entries))
    assert [entry.event.object async for entry in audit.entries("q", "thing.", last=2)] == ["thing-4", "thing-6"]
    assert [entry async for entry in audit.entries(action="key.")] == []


async def test_an_empty_log_and_one_that_nobody_touched_are_whole(audit):
    assert (await audit.verify()).is_whole
    await fill(audit)
    verdict = await audit.verify()
    assert (verdict.is_whole, verdict.count, verdict.signed) == (True, 6, None)
    assert (await audit.verify(expect=verdict.hash)).is_whole


def mine(number):
    return AUDIT_LOG.c.number == number


def changed(old: bytes, new: bytes, number: int, rows):
    content = rows[number].content.replace(old, new)
    assert content != rows[number].content
    return content


TAMPERING = {
    "content": (lambda rows: [update(AUDIT_LOG).where(mine(3)).values(content=changed(b"ada", b"eve", 3, rows))], 3),
    "hash": (lambda rows: [update(AUDIT_LOG).where(mine(3)).values(hash=bytes(32))], 3),
    "content and hash": (
        lambda rows: [
            update(AUDIT_LOG)
            .where(mine(3))
            .values(
                content=(content := changed(b"ada", b"eve", 3, rows)),
                hash=hashlib.sha256(content).digest(),
            )
        ],
        4,
    ),
    "time beside it": (lambda rows: [update(AUDIT_LOG).where(mine(3)).values(time=1)], 3),
    "project beside it": (lambda rows: [update(AUDIT_LOG).where(mine(3)).values(project="z")], 3),
    "no JSON": (lambda rows: [update(AUDIT_LOG).where(mine(3)).values(content=b"\xff")], 3),
    "removed": (lambda rows: [delete(AUDIT_LOG).where(mine(3))], 3),
    "first removed": (lambda rows: [delete(AUDIT_LOG).where(mine(1))], 1),
    "cut": (lambda rows: [delete(AUDIT_LOG).where(AUDIT_LOG.c.number > 4)], 5),
    "all removed": (lambda rows: [delete(AUDIT_LOG)], 1),
    "swapped": (
        lambda rows: [
            update(AUDIT_LOG).where(mine(3)).values(number=99),
            update(AUDIT_LOG).where(mine(4)).values(number=3),
            update(AUDIT_LOG).where(mine(99)).values(number=4),
        ],
        3,
    ),
    "added": (
        lambda rows: [
            insert(AUDIT_LOG).values(number=7, time=1, project="p", action="x", content=b"{}", hash=bytes(32))
        ],
        7,
    ),
    "head moved back": (lambda rows: [update(AUDIT_HEAD).values(entries=5)], 6),
    "head of another": (lambda rows: [update(AUDIT_HEAD).values(hash=bytes(32))], 6),
}


@pytest.mark.parametrize("kind", TAMPERING)
async def test_tampering_is_found_and_the_first_bad_row_named(audit, database, kind):
    await fill(audit)
    async with database.reading() as connection:
        rows = {row.number: row for row in (await connection.execute(select(AUDIT_LOG))).all()}
    tamper, first = TAMPERING[kind]
    await change(database, *tamper(rows))
    verdict = await audit.verify()
    assert not verdict.is_whole
    assert verdict.bad == first, verdict.reason
    assert str(first) in verdict.reason


LEFT_IN_SQLITE = {
    "a text as number": (
        "INSERT INTO audit_log (number, time, project, action, content, hash) VALUES ('zz', 1, '', 'x', x'00', x'00')",
        7,
    ),
    "a text as the number of one": ("UPDATE audit_log SET number = 'zz' WHERE number = 3", 3),
    "a part as number": ("UPDATE audit_log SET number = 3.5 WHERE number = 3", 3),
    "a number as hash": ("UPDATE audit_log SET hash = 123456789012345 WHERE number = 3", 3),
    "a text as hash": ("UPDATE audit_log SET hash = 'zz' WHERE number = 3", 3),
    "a number as content": ("UPDATE audit_log SET content = 123456789012345 WHERE number = 3", 3),
    "a text as length": ("UPDATE audit_head SET entries = 'zz'", None),
    "a number as the hash of the head": ("UPDATE audit_head SET hash = 123456789012345", 6),
    "a number as what was signed": ("UPDATE audit_head SET signed_hash = 123456789012345", "whole"),
}


@pytest.mark.parametrize("kind", LEFT_IN_SQLITE)
async def test_values_of_another_kind_are_found_as_tampering(tmp_path, kind):
    database = await Database.open(database_url(None, tmp_path))
    writer = Writer(database)
    audit = Audit(database, writer)
    await fill(audit)
    tamper, first = LEFT_IN_SQLITE[kind]
    await change(database, text(tamper))
    verdict = await audit.verify()
    assert verdict.is_whole == (first == "whole")
    assert verdict.bad == (None if first == "whole" else first), verdict.reason
    await writer.close()
    await database.close()


async def test_a_log_cut_with_its_head_is_found_by_the_hash_that_it_had(audit, database):
    await fill(audit)
    before = await audit.verify()
    async with database.reading() as connection:
        last = (await connection.execute(select(AUDIT_LOG.c.hash).where(mine(4)))).scalar_one()
    cut = delete(AUDIT_LOG).where(AUDIT_LOG.c.number > 4), update(AUDIT_HEAD).values(entries=4, hash=last)
    await change(database, *cut)
    assert (await audit.verify()).is_whole  # nothing in the database can tell
    verdict = await audit.verify(expect=before.hash)
    assert "expected" in verdict.reason


async def test_many_writers_keep_one_chain(database, url, tmp_path):
    opened = [await Database.open(database_url(url, tmp_path)) for _ in range(3)]
    writers = [Writer(each) for each in opened]
    audits = [Audit(*each) for each in zip(opened, writers, strict=True)]
    try:
        await asyncio.gather(*[audit.tell(Event("thing.done", object=f"{n}")) for audit in audits for n in range(20)])
        verdict = await audits[0].verify()
        assert (verdict.is_whole, verdict.count) == (True, 60)
    finally:
        for each in (*writers, *opened):
            await each.close()


async def test_what_is_undone_is_not_told(audit, writer):
    async def fail(connection):
        await audit.append(connection, Event("thing.done"))
        raise StorageError("The disk is full.")

    with pytest.raises(StorageError):
        await writer.change(fail)
    await audit.tell(Event("thing.done"))
    assert [entry.number async for entry in audit.entries()] == [1]
    assert (await audit.verify()).is_whole


async def test_an_exported_log_is_checked_by_itself(audit):
    await fill(audit)
    lines = [orjson.loads(orjson.dumps(entry.shown)) async for entry in audit.entries()]
    verdict = check_entries(lines)
    assert (verdict.is_whole, verdict.hash) == (True, (await audit.verify()).hash)
    assert check_entries([*lines[:2], *lines[3:]]).bad == 3
    assert check_entries([*lines[:2], {**lines[2], "actor": "eve"}, *lines[3:]]).bad == 3
    assert check_entries([lines[0], {**lines[1], "hash": "no"}]).bad == 2
