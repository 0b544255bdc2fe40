"""Keys: who may call, with what, until when; of a secret only its SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable
from typing import Any, final

from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import UsageError
from stillhouse.storage.audit import Audit
from stillhouse.storage.audit_records import SERVER, Event
from stillhouse.storage.database import Database
from stillhouse.storage.ids import new_id
from stillhouse.storage.records import ApiKey, Scope
from stillhouse.storage.tables import API_KEYS, PROJECTS
from stillhouse.storage.writer import Writer

__all__ = ["Keys"]

SHOWN = 12
"""Characters of a secret that lists show, of 49."""


@final
class Keys:
    """The API keys of a database. A secret has 256 random bits, so that a plain hash of it gives nothing away."""

    def __init__(self, database: Database, writer: Writer, audit: Audit | None = None) -> None:
        self._database, self._writer, self._audit = database, writer, audit

    async def create(
        self, project: str, name: str, scopes: Iterable[Scope], expires: int | None = None, actor: str = SERVER
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which is told this once; raises UsageError when a key in use has this name."""
        secret = f"sk-sh-{secrets.token_urlsafe(32)}"
        now = int(time.time())
        key = ApiKey(new_id("key_"), project, name, secret[:SHOWN], frozenset(scopes), now, expires)

        async def change(connection: AsyncConnection) -> bool:
            in_use = (API_KEYS.c.name == name) & API_KEYS.c.revoked.is_(None)
            if (await connection.execute(select(API_KEYS.c.id).where(in_use))).first():
                return False
            if not (await connection.execute(select(PROJECTS.c.id).where(PROJECTS.c.id == project))).first():
                await connection.execute(insert(PROJECTS), [{"id": project, "created": now}])
            row = {
                "id": key.id,
                "project": project,
                "name": name,
                "digest": _digest(secret),
                "shown": key.shown,
                "scopes": ",".join(sorted(key.scopes)),
                "created": now,
                "expires": expires,
            }
            await connection.execute(insert(API_KEYS), [row])
            details = {"name": name, "scopes": row["scopes"], "expires": expires}
            await self._tell(connection, Event("key.created", actor, project, key.id, details=details))
            return True

        if not await self._writer.change(change):
            raise UsageError(f"There is a key with the name {name!r} already. Revoke it first, or choose another name.")
        return key, secret

    async def find(self, secret: str) -> ApiKey | None:
        """The key of a secret, also one that is no longer to be used; None for none of ours."""
        query = select(API_KEYS).where(API_KEYS.c.digest == _digest(secret))
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _key(row)

    async def all(self) -> list[ApiKey]:
        """Every key there ever was, oldest first."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(API_KEYS).order_by(API_KEYS.c.created, API_KEYS.c.id))
            return [_key(row) for row in rows]

    async def revoke(self, named: str, actor: str = SERVER) -> int:
        """End the use of the keys with this name or id; how many there were."""

        async def change(connection: AsyncConnection) -> int:
            meant = or_(API_KEYS.c.name == named, API_KEYS.c.id == named) & API_KEYS.c.revoked.is_(None)
            keys = (await connection.execute(select(API_KEYS.c.id, API_KEYS.c.project).where(meant))).all()
            await connection.execute(update(API_KEYS).where(meant).values(revoked=int(time.time())))
            events = [Event("key.revoked", actor, key.project, key.id, details={"name": named}) for key in keys]
            await self._tell(connection, *events)
            return len(keys)

        return await self._writer.change(change)

    async def _tell(self, connection: AsyncConnection, *events: Event) -> None:
        if self._audit:
            await self._audit.append(connection, *events)

    async def forget(self, key_id: str) -> None:
        """Delete a key that nobody was told of, such as one that a worker made for itself."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(API_KEYS).where(API_KEYS.c.id == key_id))

        await self._writer.change(change)

    async def forget_all(self, beginning: str) -> None:
        """Delete the keys whose names begin so: those that killed workers had made for the same work."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(delete(API_KEYS).where(API_KEYS.c.name.startswith(beginning, autoescape=True)))

        await self._writer.change(change)

    async def touch(self, key: ApiKey, now: float) -> None:
        """Note that a key has been used."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(update(API_KEYS).where(API_KEYS.c.id == key.id).values(used=int(now)))

        await self._writer.change(change)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _key(row: Row[Any]) -> ApiKey:
    scopes = frozenset(Scope(word) for word in row.scopes.split(",") if word)
    return ApiKey(row.id, row.project, row.name, row.shown, scopes, row.created, row.expires, row.revoked, row.used)
