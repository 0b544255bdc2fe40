"""Completions: stored calls and their answers; added, listed by model and metadata, changed and deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import orjson
from sqlalchemy import ColumnElement, Row, delete, exists, func, insert, literal, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import OnHold
from stillhouse.storage.audit import Audit
from stillhouse.storage.audit_records import SERVER, Event
from stillhouse.storage.database import Database
from stillhouse.storage.holds import Hold, holds_on
from stillhouse.storage.pages import Place, Query, cut, place_of
from stillhouse.storage.records import Cut, Page, StoredCompletion, Wanted
from stillhouse.storage.sealing import Place as BodyPlace
from stillhouse.storage.tables import COMPLETIONS, DELETED, TERMS
from stillhouse.storage.vault import Sealer, Vault
from stillhouse.storage.writer import Values, Writer

__all__ = ["Completions", "is_wanted", "places", "taken", "terms_of"]

FEW = 1_000
"""Completions up to which terms are counted, to begin with the one that the fewest have."""


OVERHEAD = 1_000
"""Bytes that a completion takes in memory beside its JSON."""


@final
class Completions:
    """The stored completions of a database. What was added is found by whoever asks next.

    Where there is a vault, answers and messages are encrypted; without `audit` nobody is told of changes.
    """

    def __init__(
        self, database: Database, writer: Writer, vault: Vault | None = None, audit: Audit | None = None
    ) -> None:
        self._database, self._writer = database, writer
        self._vault, self._audit = vault, audit

    async def add(self, project: str, *completions: StoredCompletion) -> None:
        """Keep some, all or none; raises StorageBusy when too much waits, StorageError when an id is taken already."""
        terms = [
            (term, completion.created, completion.id)
            for completion in completions
            for term in terms_of(project, completion)
        ]
        size = sum(len(completion.answer) + len(completion.messages) + OVERHEAD for completion in completions)
        sealers = [Sealer()] * len(completions)
        if self._vault:
            sealers = await self._vault.sealers(project, [(each.subject, each.created) for each in completions])
        rows = [_values(project, each, sealer) for each, sealer in zip(completions, sealers, strict=True)]
        await self._writer.insert({COMPLETIONS: rows, TERMS: terms}, size)

    async def get(self, project: str, completion_id: str) -> StoredCompletion | None:
        """One by its id, None when there is none."""
        await self._writer.settled()
        query = _all_of(project).where(COMPLETIONS.c.id == completion_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else (await self._opened(project, [_completion(row)]))[0]

    async def page(self, project: str, wanted: Wanted, asked: Cut) -> Page[StoredCompletion] | None:
        """Some of those that are wanted, without their messages; None when the one to go on after never was."""
        await self._writer.settled()
        async with self._database.reading() as connection:
            after = None
            if asked.after is not None:
                after = await place_of(connection, (COMPLETIONS, DELETED), project, asked.after)
                if after is None:
                    return None
            terms = await _rarest_first(connection, list(_wanted_terms(project, wanted)))
            query = _page_by_terms(project, terms, asked, after) if terms else _page_of_all(project, asked, after)
            rows = (await connection.execute(query)).all()
        found = await self._opened(project, [_completion(row) for row in rows[: asked.limit]])
        return Page(found, has_more=len(rows) > asked.limit)

    async def ids(
        self, project: str, wanted: Wanted, since: int | None = None, until: int | None = None, most: int | None = None
    ) -> list[str]:
        """The ids of those that are wanted, oldest first; times, in Unix seconds, included. Of more the newest."""
        await self._writer.settled()
        async with self._database.reading() as connection:
            query, created, row_id = await places(connection, project, wanted)
            if since is not None:
                query = query.where(created >= since)
            if until is not None:
                query = query.where(created <= until)
            rows = (await connection.execute(query.order_by(created.desc(), row_id.desc()).limit(most))).all()
        return [row.id for row in reversed(rows)]

    async def several(self, project: str, ids: Sequence[str]) -> list[StoredCompletion]:
        """Those of some ids that are there, with their messages, oldest first."""
        query = _all_of(project).where(COMPLETIONS.c.id.in_(ids)).order_by(COMPLETIONS.c.created, COMPLETIONS.c.id)
        async with self._database.reading() as connection:
            found = [_completion(row) for row in await connection.execute(query)]
        return await self._opened(project, found)

    async def known(self, project: str, ids: Sequence[str]) -> set[str]:
        """Those of some ids that are there, or were until they were deleted."""
        found: set[str] = set()
        async with self._database.reading() as connection:
            for table in (COMPLETIONS, DELETED):
                query = select(table.c.id).where(table.c.project == project, table.c.id.in_(ids))
                found |= {row.id for row in await connection.execute(query)}
        return found

    async def replace_metadata(
        self, project: str, completion_id: str, metadata: Mapping[str, str], actor: str = SERVER
    ) -> StoredCompletion | None:
        """The completion with other metadata, None when there is none of this id; raises OnHold."""
        event = Event("completion.changed", actor, project, completion_id)

        async def change(connection: AsyncConnection) -> StoredCompletion | Hold | None:
            found = next(iter(await taken(connection, project, [completion_id])), None)
            if found is None:
                return None
            if hold := await self._hold(connection, event, found):
                return hold
            terms = list(_metadata_terms(project, metadata))
            await _remove_terms(connection, found, {*_metadata_terms(project, found.metadata), *terms})
            rows = [{"term": term, "created": found.created, "id": found.id} for term in terms]
            if rows:
                await connection.execute(insert(TERMS), rows)
            mine = (COMPLETIONS.c.project == project) & (COMPLETIONS.c.id == completion_id)
            await connection.execute(update(COMPLETIONS).where(mine).values(metadata=orjson.dumps(dict(metadata))))
            await self._tell(connection, event)
            return replace(found, metadata=metadata)

        changed = await self._writer.change(change)
        if isinstance(changed, Hold):
            raise OnHold(changed.words)
        return None if changed is None else (await self._opened(project, [changed]))[0]

    async def delete(self, project: str, completion_id: str, actor: str = SERVER) -> bool:
        """Forget one, but for where it stood; whether it was there. Raises OnHold where it is protected."""
        event = Event("completion.deleted", actor, project, completion_id)

        async def change(connection: AsyncConnection) -> Hold | bool:
            found = next(iter(await taken(connection, project, [completion_id])), None)
            if found is None:
                return False
            if hold := await self._hold(connection, event, found):
                return hold
            await _remove_terms(connection, found, terms_of(project, found))
            mine = (COMPLETIONS.c.project == project) & (COMPLETIONS.c.id == completion_id)
            await connection.execute(delete(COMPLETIONS).where(mine))
            stood = {"project": project, "id": found.id, "created": found.created}
            await connection.execute(insert(DELETED), [stood])
            await self._tell(connection, event)
            return True

        deleted = await self._writer.change(change)
        if isinstance(deleted, Hold):
            raise OnHold(deleted.words)
        return deleted

    async def _hold(self, connection: AsyncConnection, event: Event, found: StoredCompletion) -> Hold | None:
        """The hold because of which something is refused, which the log is told; None where there is none."""
        hold = await holds_on(connection, event.project, found)
        if hold:
            await self._tell(connection, replace(event, outcome="refused", details={"hold": hold.id}))
        return hold

    async def _tell(self, connection: AsyncConnection, event: Event) -> None:
        if self._audit:
            await self._audit.append(connection, event)

    async def _opened(self, project: str, found: Sequence[StoredCompletion]) -> list[StoredCompletion]:
        """Completions as they were before they were encrypted; of those whose key was destroyed no word is left."""
        if self._vault is None:
            return list(found)
        bodies = [
            (body, _place(project, each.id, column))
            for each in found
            for column, body in (("answer", each.answer), ("messages", each.messages))
        ]
        opened = await self._vault.opened(bodies)
        pairs = zip(found, opened[::2], opened[1::2], strict=True)
        return [_filled(each, answer, messages) for each, answer, messages in pairs]


async def taken(connection: AsyncConnection, project: str, ids: Sequence[str]) -> list[StoredCompletion]:
    """Those of some ids that are there, as they are written, which nobody else changes until the transaction ends."""
    query = _all_of(project).where(COMPLETIONS.c.id.in_(ids)).order_by(COMPLETIONS.c.id).with_for_update()
    return [_completion(row) for row in await connection.execute(query)]


def _all_of(project: str) -> Query:
    """Every column of a project's completions."""
    return select(COMPLETIONS).where(COMPLETIONS.c.project == project)


def _listed(project: str) -> Query:
    """The same without messages, which no list shows."""
    columns = [column for column in COMPLETIONS.c if column.name not in ("project", "messages")]
    return select(*columns, literal(b"[]").label("messages")).where(COMPLETIONS.c.project == project)


def _values(project: str, completion: StoredCompletion, sealer: Sealer) -> Values:
    """A completion in the order of the table's columns."""
    answer, messages = completion.answer, completion.messages
    if sealer.key:
        answer = sealer.seal(answer, _place(project, completion.id, "answer"))
        messages = sealer.seal(messages, _place(project, completion.id, "messages"))
    return (
        project,
        completion.id,
        completion.created,
        completion.asked,
        completion.model,
        completion.route,
        orjson.dumps(dict(completion.metadata)),
        answer,
        messages,
        None if completion.subject is None else completion.subject.encode(),
    )


def _completion(row: Row[Any]) -> StoredCompletion:
    return StoredCompletion(
        id=row.id,
        created=row.created,
        asked=row.asked,
        model=row.model,
        route=row.route,
        metadata=orjson.loads(row.metadata),
        answer=row.answer,
        messages=row.messages,
        subject=None if row.subject is None else row.subject.decode(),
    )


def _place(project: str, completion_id: str, column: str) -> BodyPlace:
    return project, COMPLETIONS.name, completion_id, column


def _filled(found: StoredCompletion, answer: bytes | None, messages: bytes | None) -> StoredCompletion:
    """A completion with its bodies; one whose key was destroyed has an answer without choices, and no messages."""
    if answer is not None and messages is not None:
        return replace(found, answer=answer, messages=messages) if answer is not found.answer else found
    left: dict[str, Any] = {
        "id": found.id,
        "object": "chat.completion",
        "created": found.created,
        "model": found.model,
        "choices": [],
    }
    return replace(found, answer=orjson.dumps({**left, "erased": True}), messages=b"[]", is_erased=True)


async def places(
    connection: AsyncConnection, project: str, wanted: Wanted
) -> tuple[Query, ColumnElement[Any], ColumnElement[Any]]:
    """A query for where those stand that are wanted, and its columns: when they were made, and their ids."""
    terms = await _rarest_first(connection, list(_wanted_terms(project, wanted)))
    if terms:
        return _having(terms)
    created, row_id = COMPLETIONS.c.created, COMPLETIONS.c.id
    return select(created, row_id).where(COMPLETIONS.c.project == project), created, row_id


def _page_of_all(project: str, asked: Cut, after: Place | None) -> Query:
    return cut(_listed(project), COMPLETIONS.c.created, COMPLETIONS.c.id, asked, after)


def _page_by_terms(project: str, terms: Sequence[bytes], asked: Cut, after: Place | None) -> Query:
    """The completions that have every term, in the order of the first."""
    having, created, row_id = _having(terms)
    found = cut(having, created, row_id, asked, after).subquery("found")
    query = _listed(project).join(found, found.c.id == COMPLETIONS.c.id)
    return cut(query, found.c.created, found.c.id, asked, None)


def _having(terms: Sequence[bytes]) -> tuple[Query, ColumnElement[Any], ColumnElement[Any]]:
    """Where the completions stand that have every term: those of the first, each looked up under the others.

    The offset keeps PostgreSQL from reading all that have another term, in order to join them.
    """
    first, others = TERMS.alias("first"), [TERMS.alias(f"other{number}") for number in range(1, len(terms))]
    having = select(first.c.created, first.c.id).where(first.c.term == terms[0])
    for other, term in zip(others, terms[1:], strict=True):
        same = (other.c.term == term) & (other.c.created == first.c.created) & (other.c.id == first.c.id)
        having = having.where(exists(select(literal(1)).where(same).offset(0)))
    return having, first.c.created, first.c.id


async def _rarest_first(connection: AsyncConnection, terms: Sequence[bytes]) -> list[bytes]:
    """Terms with the one that the fewest completions have in front; those that many have are not counted out."""
    if len(terms) < 2:
        return list(terms)
    counts: list[Query] = []
    for number, term in enumerate(terms):
        few = select(literal(1).label("one")).where(TERMS.c.term == term).limit(FEW).subquery()
        counts.append(select(literal(number).label("number"), func.count().label("having")).select_from(few))
    rows = (await connection.execute(union_all(*counts))).all()
    counted: dict[int, int] = {row.number: row.having for row in rows}
    return [terms[number] for number in sorted(range(len(terms)), key=lambda number: counted[number])]


def terms_of(project: str, completion: StoredCompletion) -> Iterator[bytes]:
    """What a completion is found by: both names of its model, its subject, and its metadata."""
    for model in {completion.asked, completion.model}:
        yield _term(project, "model", model)
    if completion.subject is not None:
        yield _term(project, "subject", completion.subject)
    yield from _metadata_terms(project, completion.metadata)


def is_wanted(project: str, completion: StoredCompletion, wanted: Wanted) -> bool:
    """Whether a completion has by itself what is wanted, whatever it is found by."""
    return set(_wanted_terms(project, wanted)).issubset(terms_of(project, completion))


def _wanted_terms(project: str, wanted: Wanted) -> Iterator[bytes]:
    if wanted.model is not None:
        yield _term(project, "model", wanted.model)
    if wanted.subject is not None:
        yield _term(project, "subject", wanted.subject)
    yield from _metadata_terms(project, wanted.metadata or {})


def _metadata_terms(project: str, metadata: Mapping[str, str]) -> Iterator[bytes]:
    for key, value in metadata.items():
        yield _term(project, "metadata", key, value)


def _term(*parts: str) -> bytes:
    """What is looked up, in 16 bytes, however long the parts are (the first half of a SHA-256)."""
    return hashlib.sha256(orjson.dumps(parts)).digest()[:16]


async def _remove_terms(connection: AsyncConnection, found: StoredCompletion, terms: Iterable[bytes]) -> None:
    for term in terms:
        here = (TERMS.c.term == term) & (TERMS.c.created == found.created) & (TERMS.c.id == found.id)
        await connection.execute(delete(TERMS).where(here))
