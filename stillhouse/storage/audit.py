"""Audit: what was done by whom, in a log that only grows: each row carries the hash of the one before."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, final

import orjson
from sqlalchemy import Row, Table, func, insert, select, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType

from stillhouse.storage.audit_records import START, Entry, Event, Verdict, canonical
from stillhouse.storage.database import Database
from stillhouse.storage.master_key import MasterKeys
from stillhouse.storage.pages import Query
from stillhouse.storage.tables import AUDIT_HEAD, AUDIT_LOG, VAULT
from stillhouse.storage.writer import Writer

__all__ = ["Audit", "check_entries", "head_message"]

HEAD = "head"
"""The id of the one row that says how long the log is."""

TOGETHER = 1_000
"""Rows that are read at once."""


@final
class Audit:
    """The audit log of a database. However many programs write, there is one chain.

    Where the database has a vault, whoever has its master key signs the head with every row that is added.
    """

    def __init__(self, database: Database, writer: Writer, masters: MasterKeys | None = None) -> None:
        self._database, self._writer, self._masters = database, writer, masters

    async def tell(self, *events: Event) -> None:
        """Add events in a commit of their own; raises StorageError."""

        async def change(connection: AsyncConnection) -> None:
            await self.append(connection, *events)

        await self._writer.change(change)

    async def append(self, connection: AsyncConnection, *events: Event) -> None:
        """Add events in the transaction that does what they tell, as its last step: others wait from here on."""
        if not events:
            return
        head = await self._head(connection)
        count, last, now = head.entries, bytes(head.hash), time.time_ns() // 1000
        rows: list[dict[str, Any]] = []
        for event in events:
            count += 1
            entry = Entry(count, now, event, last, b"")
            content = entry.content
            last = hashlib.sha256(content).digest()
            rows.append(
                {
                    "number": count,
                    "time": now,
                    "project": event.project,
                    "action": event.action,
                    "content": content,
                    "hash": last,
                }
            )
        await connection.execute(insert(AUDIT_LOG), rows)
        values = {"entries": count, "hash": last, **await self.signature(connection, count, last)}
        await connection.execute(update(AUDIT_HEAD).values(values))

    async def signature(self, connection: AsyncConnection, count: int, last: bytes) -> dict[str, Any]:
        """The columns of the head that sign it; none where there is no vault, or its master key is not here."""
        master_id = (await connection.execute(select(VAULT.c.master))).scalar()
        master = self._masters.find(master_id) if self._masters and master_id else None
        if master is None:
            return {}
        signature = master.sign(head_message(count, last))
        return {"signed_entries": count, "signed_hash": last, "signature": signature, "master": master.id}

    async def sign_anew(self, connection: AsyncConnection) -> None:
        """Sign the head by the master key that the vault has now."""
        head = await self._head(connection)
        if values := await self.signature(connection, head.entries, bytes(head.hash)):
            await connection.execute(update(AUDIT_HEAD).values(values))

    async def entries(
        self, project: str | None = None, action: str | None = None, last: int | None = None
    ) -> AsyncGenerator[Entry]:
        """The log from its beginning or its `last` rows: all, or those of a project or of actions that begin so."""
        wanted = _wanted(project, action)
        after = 0
        async with self._database.reading() as connection:
            if last is not None:
                newest = select(AUDIT_LOG.c.number).where(*wanted).order_by(AUDIT_LOG.c.number.desc()).limit(last)
                oldest = select(func.min(newest.subquery().c.number))
                after = ((await connection.execute(oldest)).scalar() or 1) - 1
        while True:
            async with self._database.reading() as connection:
                query = select(AUDIT_LOG).where(*wanted, AUDIT_LOG.c.number > after)
                rows = (await connection.execute(query.order_by(AUDIT_LOG.c.number).limit(TOGETHER))).all()
            for row in rows:
                yield _entry(row)
            if len(rows) < TOGETHER:
                return
            after = rows[-1].number

    async def verify(self, expect: bytes | None = None) -> Verdict:
        """Check every row, their order and their end; `expect` is a hash that the log once had, and must have still."""
        async with self._database.reading() as connection:
            head = (await connection.execute(_as_it_stands(AUDIT_HEAD))).first()
            vault = (await connection.execute(select(VAULT.c.master))).scalar()
        count = head.entries if head else 0
        if not isinstance(count, int):
            return _wrong(Verdict(0, START), None, "the head was changed: it says no number of rows")
        marks = {START} if expect is None else {expect}
        if head and head.signed_hash is not None:
            marks.add(_bytes(head.signed_hash))
        verdict, found = await self._check_rows(count, marks)
        if not verdict.is_whole:
            return verdict
        if head and _bytes(head.hash) != verdict.hash:
            return _wrong(verdict, count, f"row {count} is not the one that the head of the log names")
        if expect is not None and expect not in found:
            return _wrong(verdict, None, "no row has the hash that was expected: the log was cut or written anew")
        return self._check_signature(head, vault, verdict, found)

    async def _check_rows(self, count: int, marks: set[bytes]) -> tuple[Verdict, dict[bytes, int]]:
        """Whether rows follow each other up to the end that the head names; where hashes that are looked for are."""
        verdict, found = Verdict(0, START), ({START: 0} if START in marks else {})
        after: int | None = None
        while True:
            async with self._database.reading() as connection:
                query = _as_it_stands(AUDIT_LOG).order_by(AUDIT_LOG.c.number).limit(TOGETHER)
                if after is not None:
                    query = query.where(AUDIT_LOG.c.number > after)
                rows = [row for row in (await connection.execute(query)).all() if not _is_later(row.number, count)]
            for row in rows:
                verdict = _next(verdict, row)
                if not verdict.is_whole:
                    return verdict, found
                if verdict.hash in marks:
                    found[verdict.hash] = verdict.count
            if len(rows) < TOGETHER:
                break
            after = rows[-1].number
        if verdict.count < count:
            return _wrong(verdict, verdict.count + 1, f"rows {verdict.count + 1} to {count} are missing"), found
        async with self._database.reading() as connection:  # what was added meanwhile has moved the head as well
            last = (await connection.execute(select(func.max(AUDIT_LOG.c.number)))).scalar() or 0
            head = (await connection.execute(select(AUDIT_HEAD.c.entries))).scalar() or 0
        if last > head:
            return _wrong(verdict, head + 1, f"row {head + 1} was added past the end that the head names"), found
        return verdict, found

    def _check_signature(
        self, head: Row[Any] | None, vault: str | None, verdict: Verdict, found: dict[bytes, int]
    ) -> Verdict:
        """Whether the master key has signed what stands here; unchecked where it is not at hand."""
        masters = self._masters.all() if self._masters else ()
        if not masters:
            return replace(verdict, is_unchecked=vault is not None or (head is not None and head.signature is not None))
        if head is None or head.signature is None:
            if vault is None and not verdict.count:
                return verdict
            words = "a master key is at hand, but has signed nothing: the signature was taken away"
            if vault is None:
                words = "a master key is at hand, but there is no vault: `stillhouse vault init` begins to sign the log"
            return _wrong(verdict, None, words)
        signed = _bytes(head.signed_hash)
        message = head_message(head.signed_entries, signed)
        if not any(each.has_signed(message, _bytes(head.signature)) for each in masters):
            return _wrong(verdict, None, "the signature of the head is none of the master key")
        if found.get(signed) != head.signed_entries:
            words = f"row {head.signed_entries} is not the one that was signed: the log was cut or written anew"
            return _wrong(verdict, head.signed_entries, words)
        return Verdict(verdict.count, verdict.hash, signed=head.signed_entries)

    async def _head(self, connection: AsyncConnection) -> Row[Any]:
        """The head, which is ours until the transaction ends; SQLite has one writer anyway."""
        query = select(AUDIT_HEAD).with_for_update()
        row = (await connection.execute(query)).first()
        if row is None:
            dialect = sqlite if self._database.is_sqlite else postgresql
            first = dialect.insert(AUDIT_HEAD).values(id=HEAD, entries=0, hash=START)
            await connection.execute(first.on_conflict_do_nothing())
            row = (await connection.execute(query)).one()
        return row


def head_message(count: int, last: bytes) -> bytes:
    """What is signed of a log: how many rows it has, and the hash of the last."""
    return canonical(["stillhouse audit log", count, last.hex()])


def check_entries(entries: Sequence[dict[str, Any]]) -> Verdict:
    """Check a log that was exported, as plain values; its end can only be told by the last hash."""
    verdict = Verdict(0, START)
    for told in entries:
        content = canonical({name: value for name, value in told.items() if name != "hash"})
        verdict = _follow(verdict, told, content, str(told.get("hash", "")))
        if not verdict.is_whole:
            break
    return verdict


def _next(verdict: Verdict, row: Row[Any]) -> Verdict:
    """The verdict once one more row of the table is looked at."""
    content = _bytes(row.content)
    try:
        told: dict[str, Any] = orjson.loads(content)
        beside = {"number": row.number, "time": row.time, "project": row.project, "action": row.action}
        if any(told[name] != value for name, value in beside.items()):
            return _wrong(verdict, verdict.count + 1, f"row {row.number} was changed: its columns say something else")
    except (ValueError, KeyError, TypeError):
        return _wrong(verdict, verdict.count + 1, f"row {row.number} was changed: it cannot be read")
    return _follow(verdict, told, content, _bytes(row.hash).hex())


def _follow(verdict: Verdict, told: dict[str, Any], content: bytes, hashed: str) -> Verdict:
    number, expected = told.get("number"), verdict.count + 1
    if number != expected:
        return _wrong(verdict, expected, f"row {expected} is missing, row {number} stands in its place")
    digest = hashlib.sha256(content).digest()
    if digest.hex() != hashed:
        return _wrong(verdict, expected, f"row {number} was changed: its hash is another")
    if told.get("previous") != verdict.hash.hex():
        words = f"row {number} does not follow row {verdict.count}: one of the two was put in place of another"
        return _wrong(verdict, expected, words)
    return Verdict(expected, digest)


def _wrong(verdict: Verdict, row: int | None, reason: str) -> Verdict:
    return Verdict(verdict.count, verdict.hash, bad=row, reason=reason)


def _as_it_stands(table: Table) -> Query:
    """The rows of a table with values of any kind: whoever tampers with SQLite may leave a text or a number anywhere,
    and of a number `bytes` would make as many zeros."""
    columns: Sequence[Any] = [type_coerce(column, NullType()).label(column.name) for column in table.c]
    return select(*columns)


def _is_later(number: Any, count: int) -> bool:
    """Whether a row comes after the end that was looked for; one whose number is none comes nowhere."""
    return isinstance(number, int) and number > count


def _bytes(value: Any) -> bytes:
    """What stands in a column of bytes, also where it is something else."""
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("utf-8", "surrogateescape")


def _wanted(project: str | None, action: str | None) -> list[Any]:
    wanted: list[Any] = [] if project is None else [AUDIT_LOG.c.project == project]
    if action is not None:
        wanted.append(AUDIT_LOG.c.action.startswith(action, autoescape=True))
    return wanted


def _entry(row: Row[Any]) -> Entry:
    told: dict[str, Any] = orjson.loads(row.content)
    event = Event(*[told[name] for name in ("action", "actor", "project", "object", "outcome", "details")])
    return Entry(row.number, row.time, event, bytes.fromhex(told["previous"]), _bytes(row.hash))
