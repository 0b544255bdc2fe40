"""DataKeys: the keys of bodies, one for each subject and, where none is named, for each month of a project."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import orjson
from sqlalchemy import ColumnElement, Row, func, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import VaultLocked
from stillhouse.storage.database import Database
from stillhouse.storage.master_key import MasterKey, MasterKeys
from stillhouse.storage.sealing import DataKey
from stillhouse.storage.tables import DATA_KEYS, VAULT
from stillhouse.storage.writer import Writer

__all__ = ["INDEX", "MONTH", "SUBJECT", "DataKeys", "Owner", "month_of", "rewrapped", "wrapping_place"]

INDEX, MONTH, SUBJECT = "index", "month", "subject"
"""Kinds of keys: the one by which subjects are looked up without being named, of a month, of a subject."""


@final
@dataclass(frozen=True, slots=True)
class Owner:
    """Whose key it is: `name` is a subject or a month."""

    project: str
    kind: str
    name: str


def month_of(created: int) -> str:
    """The month of a time in Unix seconds, such as `2026-11`."""
    try:
        return time.strftime("%Y-%m", time.gmtime(created))
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        return "0000-00"


@final
class DataKeys:
    """The data keys of a database, made when first needed; the database has them only closed by the master key."""

    def __init__(self, database: Database, writer: Writer, masters: MasterKeys) -> None:
        self._database, self._writer, self._masters = database, writer, masters
        self._index: bytes | None = None

    async def begin(self, connection: AsyncConnection, master: MasterKey) -> None:
        """Make the key by which subjects are looked up."""
        await connection.execute(insert(DATA_KEYS), [_new(Owner("", INDEX, INDEX), INDEX.encode(), 1, master)])

    async def to_close(self, owners: Sequence[Owner]) -> dict[Owner, DataKey]:
        """The newest key of each owner, made where there is none; raises VaultLocked."""
        holders = {owner: await self.holder(owner) for owner in owners}
        async with self._database.reading() as connection:
            found = await _live(connection, holders)
        if len(found) < len(holders):
            missing = {owner: holder for owner, holder in holders.items() if owner not in found}

            async def change(connection: AsyncConnection) -> dict[Owner, Row[Any]]:
                master = await self._current(connection)
                there = await _live(connection, missing)  # another program may just have made some
                lacking = {owner: holder for owner, holder in missing.items() if owner not in there}
                if lacking:
                    versions = await _versions(connection, lacking)
                    new = [_new(owner, holder, versions[owner] + 1, master) for owner, holder in lacking.items()]
                    dialect = sqlite if self._database.is_sqlite else postgresql
                    await connection.execute(dialect.insert(DATA_KEYS).on_conflict_do_nothing(), new)
                return await _live(connection, missing)

            found.update(await self._writer.change(change))
        return {owner: self._opened(row) for owner, row in found.items()}

    async def to_open(self, ids: Sequence[str]) -> dict[str, DataKey | None]:
        """Keys by their ids, None for those that were destroyed; unknown ones are left out."""
        query = select(DATA_KEYS).where(DATA_KEYS.c.id.in_(ids))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return {row.id: None if row.wrapped is None else self._opened(row) for row in rows}

    async def holder(self, owner: Owner) -> bytes:
        """By what an owner's keys are found: a month, or a keyed hash (HMAC-SHA-256) of a subject's name."""
        if owner.kind != SUBJECT:
            return owner.name.encode()
        if self._index is None:
            query = select(DATA_KEYS).where(DATA_KEYS.c.kind == INDEX)
            async with self._database.reading() as connection:
                row = (await connection.execute(query)).first()
            if row is None:
                raise VaultLocked("The key by which subjects are looked up is gone from `data_keys`. Restore a backup.")
            self._index = self._unwrapped(row)
        return hmac.digest(self._index, orjson.dumps([owner.project, owner.name]), "sha256")

    async def _current(self, connection: AsyncConnection) -> MasterKey:
        """The master key that the vault has now, which stays so until the transaction ends; so do all keys."""
        held = (await connection.execute(select(VAULT.c.master).with_for_update())).scalar_one()
        return self._master(held)

    def _opened(self, row: Row[Any]) -> DataKey:
        return DataKey.of(row.id, row.version, self._unwrapped(row))

    def _unwrapped(self, row: Row[Any]) -> bytes:
        return self._master(row.master).unwrap(bytes(row.wrapped), wrapping_place(row))

    def _master(self, key_id: str) -> MasterKey:
        master = self._masters.find(key_id)
        if master is not None:
            return master
        found = self._masters.all()
        seen = f"{self._masters.where} has {', '.join(key.id for key in found)}" if found else "there is none"
        raise VaultLocked(
            f"What is kept is encrypted with the master key {key_id}, and {seen}. Name its file with "
            f"STILLHOUSE_MASTER_KEY_FILE, or put it at {self._masters.path} (see `stillhouse vault status`)."
        )


def wrapping_place(row: Any) -> bytes:
    """Where a data key lies, to which its closed form is bound."""
    return orjson.dumps([row.id, row.project, row.kind, bytes(row.holder).hex(), row.version])


def rewrapped(row: Any, old: MasterKey, new: MasterKey) -> bytes:
    """A data key closed by another master key."""
    place = wrapping_place(row)
    return new.wrap(old.unwrap(bytes(row.wrapped), place), place)


@dataclass(frozen=True, slots=True)
class Fresh:
    """What says where a new key lies."""

    id: str
    project: str
    kind: str
    holder: bytes
    version: int


def _new(owner: Owner, holder: bytes, version: int, master: MasterKey) -> dict[str, Any]:
    place = Fresh(secrets.token_hex(16), owner.project, owner.kind, holder, version)
    return {
        "id": place.id,
        "project": place.project,
        "kind": place.kind,
        "holder": holder,
        "version": version,
        "created": int(time.time()),
        "retired": None,
        "destroyed": None,
        "master": master.id,
        "wrapped": master.wrap(secrets.token_bytes(32), wrapping_place(place)),
    }


async def _live(connection: AsyncConnection, holders: Mapping[Owner, bytes]) -> dict[Owner, Row[Any]]:
    """The keys that close for owners, as far as there are any."""
    query = select(DATA_KEYS).where(_of(holders), DATA_KEYS.c.retired.is_(None), DATA_KEYS.c.destroyed.is_(None))
    rows = (await connection.execute(query.order_by(DATA_KEYS.c.version))).all()
    by_place = {(row.project, row.kind, bytes(row.holder)): row for row in rows}
    places = {owner: (owner.project, owner.kind, holder) for owner, holder in holders.items()}
    return {owner: by_place[place] for owner, place in places.items() if place in by_place}


async def _versions(connection: AsyncConnection, holders: Mapping[Owner, bytes]) -> dict[Owner, int]:
    """The highest version of owners' keys that there ever was, 0 where there was none."""
    columns = DATA_KEYS.c.project, DATA_KEYS.c.kind, DATA_KEYS.c.holder
    query = select(*columns, func.max(DATA_KEYS.c.version).label("last")).where(_of(holders)).group_by(*columns)
    rows = (await connection.execute(query)).all()
    last = {(row.project, row.kind, bytes(row.holder)): row.last for row in rows}
    return {owner: last.get((owner.project, owner.kind, holder), 0) for owner, holder in holders.items()}


def _of(holders: Mapping[Owner, bytes]) -> ColumnElement[bool]:
    places = [(owner.project, owner.kind, holder) for owner, holder in holders.items()]
    return tuple_(DATA_KEYS.c.project, DATA_KEYS.c.kind, DATA_KEYS.c.holder).in_(places)
