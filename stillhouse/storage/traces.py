"""Traces: what the database holds beside stored calls that may repeat somebody's words, to be looked at and changed."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from sqlalchemy import ColumnElement, Row, Table, and_, bindparam, delete, null, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import OnHold, StorageError
from stillhouse.storage.completions import taken, terms_of
from stillhouse.storage.database import Database
from stillhouse.storage.file_records import UploadState
from stillhouse.storage.holds import protected
from stillhouse.storage.records import StoredCompletion
from stillhouse.storage.sealing import Place, is_sealed
from stillhouse.storage.tables import (
    COMPLETIONS,
    DATASET_VERSIONS,
    DELETED,
    EVAL_ITEMS,
    EVAL_RUNS,
    EVALS,
    FEEDBACK,
    FILES,
    KEPT_ANSWERS,
    REVIEWS,
    TERMS,
    TUNING_EVENTS,
    TUNING_JOBS,
    UPLOADS,
)
from stillhouse.storage.vault import Vault
from stillhouse.storage.writer import Writer

__all__ = ["KINDS", "Piece", "Traces"]

TOGETHER = 200
"""Rows that are read or changed at once."""

PATIENCE = 30.0
"""Seconds for which a server that reads may keep the journal from being emptied."""

KINDS: dict[str, tuple[Table, tuple[str, ...], str]] = {
    "kept_answer": (KEPT_ANSWERS, ("project", "place"), "content"),
    "eval": (EVALS, ("project", "id"), "content"),
    "eval_metadata": (EVALS, ("project", "id"), "metadata"),
    "eval_run": (EVAL_RUNS, ("id",), "source"),
    "eval_run_metadata": (EVAL_RUNS, ("id",), "metadata"),
    "eval_item": (EVAL_ITEMS, ("run_id", "row"), "content"),
    "feedback": (FEEDBACK, ("project", "id"), "content"),
    "review": (REVIEWS, ("project", "id"), "content"),
    "job": (TUNING_JOBS, ("id",), "request"),
    "job_event": (TUNING_EVENTS, ("id",), "data"),
    "version": (DATASET_VERSIONS, ("project", "name", "number"), "step"),
}
"""By what a piece is: its table, what a row of it is found by, and the column that holds bytes."""


SAID = {"feedback": (FEEDBACK, "completion"), "review": (REVIEWS, "item")}
"""What people said, and what they are to look at: the table, and its column that names the call or the item."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a row."""

    kind: str
    key: tuple[Any, ...]
    content: bytes
    place: Place = ("", "", "", "")
    """Where they lie, as they are encrypted for it."""
    subject: str | None = None
    """Whose key encrypts them; None where they are nobody's."""


@final
class Traces:
    """A database as an erasure sees it."""

    def __init__(self, database: Database, writer: Writer, vault: Vault | None = None) -> None:
        self._database, self._writer, self._vault = database, writer, vault

    async def pieces(self, project: str, kind: str) -> AsyncIterator[Piece]:
        """All pieces of a kind that a project has, a few in memory at a time."""
        table, key, column = KINDS[kind]
        columns = [table.c[name] for name in key]
        subject = table.c.get("subject", null())
        about = (table.c[column].label("bytes_of"), subject.label("about"))
        query = select(*columns, *about).where(_of(project, kind)).order_by(*columns)
        after: tuple[Any, ...] | None = None
        while True:
            some = query if after is None else query.where(tuple_(*columns) > tuple_(*after))
            async with self._database.reading() as connection:
                rows = (await connection.execute(some.limit(TOGETHER))).all()
            for row in rows:
                after = tuple(row[: len(key)])
                if row.bytes_of is not None:
                    whose = None if row.about is None else bytes(row.about).decode()
                    place = _place(project, kind, after)
                    yield await self._opened(Piece(kind, after, bytes(row.bytes_of), place, whose))
            if len(rows) < TOGETHER:
                return

    async def change(self, piece: Piece, content: bytes | None) -> None:
        """Put other bytes in the place of a piece's; None: delete its row."""
        table, key, column = KINDS[piece.kind]
        mine = and_(*[table.c[name] == value for name, value in zip(key, piece.key, strict=True)])
        if content is not None and self._vault and piece.place[0]:
            [sealer] = await self._vault.sealers(piece.place[0], [(piece.subject, int(time.time()))])
            content = sealer.seal(content, _bound(piece.place))

        async def change(connection: AsyncConnection) -> None:
            await _overwriting(connection)
            if content is None:
                await connection.execute(delete(table).where(mine))
            else:
                await connection.execute(update(table).where(mine).values({column: content}))

        await self._writer.change(change)

    async def _opened(self, piece: Piece) -> Piece:
        """A piece as it was before it was encrypted; nothing is left of one whose key was destroyed."""
        if self._vault is None or not is_sealed(piece.content):
            return piece
        [content] = await self._vault.opened([(piece.content, _bound(piece.place))])
        return replace(piece, content=content or b"")

    async def rename_file(self, project: str, file_id: str, filename: str) -> None:
        """Give a file another name."""

        async def change(connection: AsyncConnection) -> None:
            await _overwriting(connection)
            mine = (FILES.c.project == project) & (FILES.c.id == file_id)
            await connection.execute(update(FILES).where(mine).values(filename=filename))

        await self._writer.change(change)

    async def delete_calls(self, project: str, calls: Sequence[StoredCompletion]) -> int:
        """Delete stored calls with all they are found by; not even where they stood is kept. Raises OnHold."""
        same = [TERMS.c[name] == bindparam(f"a_{name}") for name in ("term", "created", "id")]
        ids = [call.id for call in calls]

        async def change(connection: AsyncConnection) -> int:
            held = await protected(connection, project)
            there = await taken(connection, project, ids)
            if any(held.covers(call) for call in there):
                return -1
            terms = [
                {"a_term": term, "a_created": call.created, "a_id": call.id}
                for call in there
                for term in terms_of(project, call)
            ]
            await _overwriting(connection)
            if terms:
                await connection.execute(delete(TERMS).where(*same), terms)
            await connection.execute(delete(DELETED).where(DELETED.c.project == project, DELETED.c.id.in_(ids)))
            mine = (COMPLETIONS.c.project == project) & COMPLETIONS.c.id.in_(ids)
            return (await connection.execute(delete(COMPLETIONS).where(mine))).rowcount

        deleted = await self._writer.change(change) if ids else 0
        if deleted < 0:
            raise OnHold(
                "A legal hold was placed meanwhile. `stillhouse hold list` shows it; what it protects is there."
            )
        return deleted

    async def whose(self, project: str, ids: Sequence[str]) -> set[str]:
        """Those of some ids that are stored calls of a project."""
        query = select(COMPLETIONS.c.id).where(COMPLETIONS.c.project == project, COMPLETIONS.c.id.in_(ids))
        async with self._database.reading() as connection:
            return {row.id for row in await connection.execute(query)}

    async def said(self, project: str, subject: str, ids: Sequence[str]) -> dict[str, list[str]]:
        """The ids of feedback and of reviews that are about a subject, or about calls and items by their ids."""
        found: dict[str, list[str]] = {}
        for kind, (table, column) in SAID.items():
            mine = dict.fromkeys(await self._ids(table, project, table.c.subject == subject.encode()))
            for start in range(0, len(ids), TOGETHER):
                which = table.c[column].in_(ids[start : start + TOGETHER])
                mine |= dict.fromkeys(await self._ids(table, project, which))
            found[kind] = list(mine)
        return found

    async def forget_said(self, project: str, said: Mapping[str, Sequence[str]]) -> None:
        """Delete feedback and reviews by their ids."""

        async def change(connection: AsyncConnection) -> None:
            await _overwriting(connection)
            for kind, (table, _) in SAID.items():
                ids = said.get(kind, ())
                for start in range(0, len(ids), TOGETHER):
                    which = table.c.id.in_(ids[start : start + TOGETHER])
                    await connection.execute(delete(table).where(table.c.project == project, which))

        await self._writer.change(change)

    async def _ids(self, table: Table, project: str, which: ColumnElement[bool]) -> list[str]:
        query = select(table.c.id).where(table.c.project == project, which)
        async with self._database.reading() as connection:
            return [row.id for row in await connection.execute(query)]

    async def pending_uploads(self, project: str) -> list[str]:
        """The ids of a project's uploads that are not put together yet."""
        query = select(UPLOADS.c.id).where(UPLOADS.c.project == project, UPLOADS.c.state == UploadState.PENDING)
        async with self._database.reading() as connection:
            return [row.id for row in await connection.execute(query.order_by(UPLOADS.c.id))]

    async def scrub(self, whole: bool = True) -> str:
        """Leave no byte of what was deleted in the database's own files; what was done, in words. Not `whole`: the
        journal alone.

        SQLite's file is written anew and its journal emptied; raises StorageError while a server reads from it for too
        long. PostgreSQL frees the rows; its own journal, replicas and archives are its operator's matter.
        """
        if not self._database.is_sqlite:
            if not whole:
                return ""
            await self._vacuum_postgres()
            return "VACUUM of the tables; PostgreSQL's own journal, replicas and archives are not reached"
        file = Path(self._database.url.database or "")
        await asyncio.to_thread(_rewrite, file, whole)
        return "secure_delete, VACUUM, and the journal emptied"

    async def _vacuum_postgres(self) -> None:
        names = sorted({TERMS.name, COMPLETIONS.name, FILES.name, *(table.name for table, _, _ in KINDS.values())})
        async with self._database.reading() as connection:  # these connections commit each statement by itself
            for name in names:
                await connection.execute(text(f"VACUUM {name}"))


def _place(project: str, kind: str, key: tuple[Any, ...]) -> Place:
    """Where a piece lies that may be encrypted; without a project where none is."""
    table, _, column = KINDS[kind]
    match kind:
        case "kept_answer":
            return project, table.name, key[1].hex(), column
        case "eval_run":
            return project, table.name, key[0], column
        case "feedback" | "review":
            return project, table.name, key[1], column
        case "eval_item":
            return project, table.name, f"{key[0]}/{key[1]}", column
        case _:
            return "", "", "", ""


def _bound(place: Place) -> Place:
    """A place as it is authenticated: items of evals are bound to their run, which is one project's."""
    return ("", *place[1:]) if place[1] == EVAL_ITEMS.name else place


def _of(project: str, kind: str) -> ColumnElement[bool]:
    table = KINDS[kind][0]
    if kind == "eval_item":
        return table.c.run_id.in_(select(EVAL_RUNS.c.id).where(EVAL_RUNS.c.project == project))
    if kind == "job_event":
        return table.c.job.in_(select(TUNING_JOBS.c.id).where(TUNING_JOBS.c.project == project))
    return table.c.project == project


async def _overwriting(connection: AsyncConnection) -> None:
    """Let SQLite write zeros over what is deleted from now on."""
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql("PRAGMA secure_delete = ON")


def _rewrite(file: Path, whole: bool) -> None:
    """Write a SQLite file anew without its free pages where `whole`, and empty its journal."""
    try:
        with closing(sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA temp_store = FILE")
            if whole:
                connection.execute("VACUUM")
            _empty_journal(connection, file)
    except sqlite3.Error as error:
        raise StorageError(f"{file} cannot be written anew: {error}. Erase again when nobody else writes.") from error


def _empty_journal(connection: sqlite3.Connection, file: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        row: Row[Any] | tuple[int, int, int] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not row[0]:
            return
        if time.monotonic() > deadline:
            raise StorageError(
                f"The journal of {file} cannot be emptied while a server reads from it, and it may hold what was "
                "deleted. Stop the servers, and give the same command again."
            )
        time.sleep(0.2)
