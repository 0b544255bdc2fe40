"""Answers: what calls with an idempotency key were answered, for a day; and claims of those that are being answered."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Any, final

import orjson
from sqlalchemy import ColumnElement, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.storage.database import Database
from stillhouse.storage.records import Claim, KeptAnswer, Seen
from stillhouse.storage.sealing import Place
from stillhouse.storage.tables import KEPT_ANSWERS
from stillhouse.storage.vault import Vault
from stillhouse.storage.writer import Writer

__all__ = ["LASTS", "LEASE", "Answers"]

LASTS = 86_400
"""Seconds for which an answer is kept."""

LEASE = 20
"""Seconds for which a claim holds unless it is renewed: that of a server that was killed is anybody's so soon."""

AT_ONCE = 500
"""Answers that one commit deletes: whoever else writes waits for so many at most."""


@final
class Answers:
    """The kept answers of a database. All that is written here is on the disk when it is acknowledged.

    Where there is a vault, their bodies are encrypted.
    """

    def __init__(self, database: Database, writer: Writer, vault: Vault | None = None) -> None:
        self._is_sqlite, self._writer, self._vault = database.is_sqlite, writer, vault

    async def claim(self, project: str, place: bytes, body: bytes | None) -> Claim | Seen:
        """The right to answer what is asked at a place, or what is known of who asked there before.

        `body` is the SHA-256 of what was sent. Raises StorageBusy when too much waits to be written already.
        """
        self._writer.admit()
        mine, now = Claim(project, place, secrets.token_hex(8)), int(time.time())
        new: dict[str, Any] = {
            "body": body,
            "owner": mine.owner,
            "expires": now + LEASE,
            "status": None,
            "headers": None,
            "content": None,
        }
        insert = (sqlite if self._is_sqlite else postgresql).insert(KEPT_ANSWERS)
        taking = insert.values(project=project, place=place, **new).on_conflict_do_update(
            index_elements=["project", "place"], set_=new, where=KEPT_ANSWERS.c.expires <= now
        )

        async def change(connection: AsyncConnection) -> Claim | Seen:
            await connection.execute(taking)
            row = (await connection.execute(select(KEPT_ANSWERS).where(_at(project, place)))).one()
            if row.owner == mine.owner:
                return mine
            answer = None
            if row.status is not None:
                answer = KeptAnswer(row.status, orjson.loads(row.headers), row.content)
            return Seen(row.body, answer)

        found = await self._writer.change(change)
        if self._vault is None or isinstance(found, Claim) or found.answer is None:
            return found
        [content] = await self._vault.opened([(found.answer.content, _place(project, place))])
        return replace(found, answer=replace(found.answer, content=content or b""))

    async def renew(self, claim: Claim) -> None:
        """Hold a claim for longer."""
        await self._set(claim, {"expires": int(time.time()) + LEASE})

    async def keep(self, claim: Claim, answer: KeptAnswer) -> bool:
        """Keep the answer that a claim was for; False when somebody else has the claim by now."""
        content = answer.content
        if self._vault:
            [sealer] = await self._vault.sealers(claim.project, [(None, int(time.time()))])
            content = sealer.seal(content, _place(claim.project, claim.place))
        told = {"status": answer.status, "headers": orjson.dumps(dict(answer.headers)), "content": content}
        return await self._set(claim, {**told, "expires": int(time.time()) + LASTS})

    async def release(self, claim: Claim) -> None:
        """Give up a claim without an answer: whoever comes next is the first."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(KEPT_ANSWERS).where(_held(claim)))

        await self._writer.change(change)

    async def tidy(self) -> None:
        """Delete what has expired."""
        while await self._delete_some(int(time.time())) == AT_ONCE:
            pass

    async def _set(self, claim: Claim, values: dict[str, Any]) -> bool:
        async def change(connection: AsyncConnection) -> bool:
            done = await connection.execute(update(KEPT_ANSWERS).where(_held(claim)).values(values))
            return done.rowcount > 0

        return await self._writer.change(change)

    async def _delete_some(self, now: int) -> int:
        late = KEPT_ANSWERS.c.expires <= now
        place = (KEPT_ANSWERS.c.project, KEPT_ANSWERS.c.place)
        some = tuple_(*place).in_(select(*place).where(late).limit(AT_ONCE))

        async def change(connection: AsyncConnection) -> int:
            return (await connection.execute(delete(KEPT_ANSWERS).where(some, late))).rowcount

        return await self._writer.change(change)


def _place(project: str, place: bytes) -> Place:
    return project, KEPT_ANSWERS.name, place.hex(), "content"


def _at(project: str, place: bytes) -> ColumnElement[bool]:
    return (KEPT_ANSWERS.c.project == project) & (KEPT_ANSWERS.c.place == place)


def _held(claim: Claim) -> ColumnElement[bool]:
    """The row of a claim, as long as it is one."""
    mine = (KEPT_ANSWERS.c.owner == claim.owner) & KEPT_ANSWERS.c.status.is_(None)
    return _at(claim.project, claim.place) & mine
