"""Vault: bodies encrypted before they are written and opened when they are read, once a master key was made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import OnHold, StorageError, UsageError, VaultLocked
from stillhouse.storage.audit import Audit
from stillhouse.storage.audit_records import Event, anonymous
from stillhouse.storage.data_keys import INDEX, MONTH, SUBJECT, DataKeys, Owner, month_of
from stillhouse.storage.database import Database
from stillhouse.storage.holds import Hold, hold_on_subject
from stillhouse.storage.master_key import MasterKey, MasterKeys
from stillhouse.storage.sealing import DataKey, Place, is_sealed, key_id_of
from stillhouse.storage.tables import DATA_KEYS, VAULT
from stillhouse.storage.writer import Writer

__all__ = ["FRESH", "Sealer", "Vault", "VaultStatus"]

FRESH = 1.0
"""Seconds for which keys are believed without a look into the database: a destroyed one opens nothing so soon."""

REMEMBERED = 10_000
"""Keys that are held in memory."""

TOGETHER = 500
"""Keys that are looked up at once."""

ONE = "vault"
"""The id of the one row that says that there is a vault."""


@dataclass(frozen=True, slots=True)
class VaultStatus:
    """What there is of keys: how many close, how many only open what they closed before, how many were destroyed."""

    master: str
    created: int
    has_master: bool
    """Whether the master key is at hand."""
    keys: dict[str, int]
    """Keys that close, by kind."""
    retired: int
    destroyed: int
    passing: bytes | None
    """How far a pass over all bodies has come that has not ended, as it keeps it."""


@final
@dataclass(frozen=True, slots=True)
class Sealer:
    """What closes a body; without a key it is left as it is."""

    key: DataKey | None = None

    def seal(self, body: bytes, place: Place) -> bytes:
        """The body as it is written."""
        return body if self.key is None else self.key.seal(body, place)


@final
class Vault:
    """The encryption of one database's bodies: off until `make`. What was not encrypted before stays readable."""

    def __init__(self, database: Database, writer: Writer, masters: MasterKeys, audit: Audit) -> None:
        self.masters, self.keys = masters, DataKeys(database, writer, masters)
        self._database, self._writer, self._audit = database, writer, audit
        self._closing: dict[Owner, DataKey] = {}
        self._opening: dict[str, DataKey | None] = {}
        self._awaited: dict[Owner, asyncio.Future[DataKey]] = {}
        self._making: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._state: tuple[str, int] | None = None
        self._looked = float("-inf")

    async def make(self, actor: str) -> str:
        """Begin to encrypt what is written from now on; the master key's id. Raises UsageError where it was begun."""
        made = self.masters.current
        if await self._look(afresh=True):
            raise UsageError("There is a vault already. `stillhouse vault status` tells of it.")
        if made is None:
            made = MasterKey.new()
            self.masters.write(made)
        master = made

        async def change(connection: AsyncConnection) -> None:
            row = {"id": ONE, "created": int(time.time()), "master": master.id, "generation": 1, "passing": None}
            await connection.execute(insert(VAULT), [row])
            await self.keys.begin(connection, master)
            await self._audit.append(connection, Event("vault.made", actor, object=master.id))

        await self._writer.change(change)
        await self._look(afresh=True)
        return master.id

    async def is_on(self) -> bool:
        """Whether bodies are encrypted."""
        return await self._look() is not None

    async def check(self) -> None:
        """Raise VaultLocked where bodies are encrypted and their master key is not at hand."""
        if await self._look(afresh=True):
            await self.keys.holder(Owner("", SUBJECT, ""))

    async def sealers(self, project: str, about: Sequence[tuple[str | None, int]]) -> list[Sealer]:
        """What closes bodies about subjects, or where there is none of times in Unix seconds; raises VaultLocked."""
        if await self._look() is None:
            return [Sealer()] * len(about)
        owners = [
            Owner(project, MONTH, month_of(created)) if subject is None else Owner(project, SUBJECT, subject)
            for subject, created in about
        ]
        known = {owner: self._closing[owner] for owner in owners if owner in self._closing}
        if len(known) < len(set(owners)):
            known.update(await self._ordered([owner for owner in set(owners) if owner not in known]))
        return [Sealer(known[owner]) for owner in owners]

    async def opened(self, bodies: Sequence[tuple[bytes, Place]]) -> list[bytes | None]:
        """Bodies as they were before they were closed; None for those whose key was destroyed.

        Raises VaultLocked without the master key, and StorageError for one that was changed.
        """
        closed = {key_id_of(body) for body, _ in bodies if is_sealed(body)}
        if not closed:
            return [body for body, _ in bodies]
        if await self._look() is None:
            raise VaultLocked("What is kept is encrypted, and the table `vault` that says how is empty.")
        keys = await self._keys_for(closed)
        return [_open(body, place, keys) if is_sealed(body) else body for body, place in bodies]

    async def shred(self, project: str, subject: str, actor: str) -> int:
        """Destroy the keys of a subject: nothing that they closed can ever be read again; how many there were.

        Raises OnHold where a legal hold protects the subject.
        """
        if await self._look(afresh=True) is None:
            return 0
        owner = Owner(project, SUBJECT, subject)
        holder = await self.keys.holder(owner)
        mine = (DATA_KEYS.c.project == project, DATA_KEYS.c.kind == SUBJECT, DATA_KEYS.c.holder == holder)

        event = Event("subject.shredded", actor, project, anonymous(project, subject))

        async def change(connection: AsyncConnection) -> int | Hold:
            hold = await hold_on_subject(connection, project, subject)
            if hold:
                refused = replace(event, outcome="refused", details={"hold": hold.id})
                await self._audit.append(connection, refused)
                return hold
            if self._database.is_sqlite:
                await connection.exec_driver_sql("PRAGMA secure_delete = ON")  # zeros where the closed key was
            gone = {"wrapped": None, "destroyed": int(time.time())}
            there = (*mine, DATA_KEYS.c.wrapped.is_not(None))
            await connection.execute(update(VAULT).values(generation=VAULT.c.generation + 1))
            done = await connection.execute(update(DATA_KEYS).where(*there).values(gone))
            await self._audit.append(connection, event)
            return done.rowcount

        count = await self._writer.change(change)
        if isinstance(count, Hold):
            raise OnHold(count.words)
        await self._look(afresh=True)
        await self._forget_pages()
        return count

    async def status(self) -> VaultStatus | None:
        """What there is of keys; None where nothing is encrypted."""
        async with self._database.reading() as connection:
            row = (await connection.execute(select(VAULT))).first()
            if row is None:
                return None
            counted = (await connection.execute(_counted())).all()
        keys = {each.kind: each.number for each in counted if not (each.retired or each.destroyed)}
        keys.pop(INDEX, None)
        retired = sum(each.number for each in counted if each.retired and not each.destroyed)
        destroyed = sum(each.number for each in counted if each.destroyed)
        has_master = self.masters.find(row.master) is not None
        return VaultStatus(row.master, row.created, has_master, keys, retired, destroyed, row.passing)

    async def _look(self, afresh: bool = False) -> tuple[str, int] | None:
        """The master key's id and how often keys have changed, as of a second ago at most; None: no vault."""
        age = time.monotonic() - self._looked
        if not afresh and (age < FRESH or (age < 2 * FRESH and self._looking.locked())):
            return self._state  # thousands may ask at the same moment: one of them looks
        async with self._looking:
            if not afresh and time.monotonic() - self._looked < FRESH:
                return self._state
            now = time.monotonic()
            async with self._database.reading() as connection:
                row = (await connection.execute(select(VAULT.c.master, VAULT.c.generation))).first()
            state = None if row is None else (row.master, row.generation)
            if state != self._state:
                self._closing.clear()
                self._opening.clear()
            self._state, self._looked = state, now
            return state

    async def _ordered(self, owners: Sequence[Owner]) -> dict[Owner, DataKey]:
        """Keys that are not in memory: asked for along with all that others ask for meanwhile."""
        loop = asyncio.get_running_loop()
        waiting = {owner: self._awaited.setdefault(owner, loop.create_future()) for owner in owners}
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._make(), name="data-keys")
        found = await asyncio.gather(*[asyncio.shield(future) for future in waiting.values()])
        return dict(zip(waiting, found, strict=True))

    async def _make(self) -> None:
        """Find or make the keys that are waited for, many at once, until nobody waits."""
        while some := list(self._awaited)[:TOGETHER]:
            found, failure = await self._found(some)
            for owner in some:
                future = self._awaited.pop(owner)
                if failure:
                    future.set_exception(failure)
                else:
                    future.set_result(found[owner])

    async def _found(self, owners: Sequence[Owner]) -> tuple[dict[Owner, DataKey], Exception | None]:
        generation = self._state
        try:
            found = await self.keys.to_close(owners)
        except Exception as error:
            return {}, error
        if len(self._closing) + len(found) > REMEMBERED:
            self._closing.clear()
        if generation == self._state:  # else a key may have been destroyed meanwhile
            self._closing.update(found)
        return found, None

    async def _keys_for(self, ids: set[str]) -> dict[str, DataKey | None]:
        missing = [each for each in ids if each not in self._opening]
        known = {each: self._opening[each] for each in ids if each in self._opening}
        if missing:
            found: dict[str, DataKey | None] = {}
            for start in range(0, len(missing), TOGETHER):
                found.update(await self.keys.to_open(missing[start : start + TOGETHER]))
            if len(self._opening) + len(found) > REMEMBERED:
                self._opening.clear()
            self._opening.update(found)
            known.update(found)
        return known

    async def _forget_pages(self) -> None:
        """Leave no destroyed key in the database's files, as far as that can be done while others go on."""
        async with self._database.reading() as connection:
            if self._database.is_sqlite:
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                await connection.execute(text("VACUUM data_keys"))


def _open(body: bytes, place: Place, keys: dict[str, DataKey | None]) -> bytes | None:
    key_id = key_id_of(body)
    if key_id not in keys:
        raise StorageError(
            f"The key {key_id} of what is encrypted in {place[1]} of {place[2]} is not in `data_keys`: rows of it were "
            "lost. Restore a backup."
        )
    key = keys[key_id]
    return None if key is None else key.open(body, place)


def _counted() -> Any:
    retired, destroyed = DATA_KEYS.c.retired.is_not(None), DATA_KEYS.c.destroyed.is_not(None)
    columns = DATA_KEYS.c.kind, retired.label("retired"), destroyed.label("destroyed")
    return select(*columns, func.count().label("number")).group_by(DATA_KEYS.c.kind, retired, destroyed)
