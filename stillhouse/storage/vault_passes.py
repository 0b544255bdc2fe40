"""VaultPasses: all bodies encrypted, or encrypted anew with newer keys, a few at once; killed, the next run goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import orjson
from sqlalchemy import Row, Table, and_, delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stillhouse.errors import UsageError
from stillhouse.storage.audit import Audit
from stillhouse.storage.audit_records import Event
from stillhouse.storage.data_keys import INDEX, rewrapped
from stillhouse.storage.database import Database
from stillhouse.storage.master_key import MasterKey
from stillhouse.storage.sealing import BEGINNING, HEAD, Place, is_sealed, key_id_of
from stillhouse.storage.tables import (
    COMPLETIONS,
    DATA_KEYS,
    EVAL_ITEMS,
    EVAL_RUNS,
    FEEDBACK,
    KEPT_ANSWERS,
    REVIEWS,
    VAULT,
)
from stillhouse.storage.vault import FRESH, Sealer, Vault
from stillhouse.storage.writer import Writer

__all__ = ["Passed", "VaultPasses"]

AT_ONCE = 100
"""Rows that one commit changes."""

KEYS_AT_ONCE = 500
"""Keys that one commit closes anew."""

LATE = 86_400
"""Seconds for which a retired key stays where nothing seems to need it: a server may hold what it closed for long."""

KNOWN = 2 * FRESH + 1
"""Seconds after which every server knows of a new vault, whose time is in whole seconds."""

Told = Callable[[int], None]
"""Hears how many more rows were looked at."""


@final
@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass has done: rows it looked at, bodies it closed, keys that nothing needs any more."""

    rows: int
    sealed: int
    dropped: int


@final
@dataclass(frozen=True, slots=True)
class Kind:
    """Bodies of one table."""

    table: Table
    key: tuple[str, ...]
    bodies: tuple[str, ...]
    others: tuple[str, ...] = ()
    """More columns that say whose they are."""


KINDS = (
    Kind(COMPLETIONS, ("project", "id"), ("answer", "messages"), ("created", "subject")),
    Kind(KEPT_ANSWERS, ("project", "place"), ("content",)),
    Kind(EVAL_RUNS, ("project", "eval_id", "id"), ("source",), ("created",)),
    Kind(EVAL_ITEMS, ("run_id", "row"), ("content",)),
    Kind(FEEDBACK, ("project", "id"), ("content",), ("created", "subject")),
    Kind(REVIEWS, ("project", "id"), ("content",), ("created", "subject")),
)


@final
class VaultPasses:
    """What is done with all keys or all bodies of a database, while servers go on."""

    def __init__(self, database: Database, writer: Writer, vault: Vault, audit: Audit) -> None:
        self._database, self._writer, self._vault, self._audit = database, writer, vault, audit

    async def encrypt(self, actor: str, told: Told = lambda rows: None) -> Passed:
        """Close every body that is not closed by a key in use; raises UsageError without a vault, and VaultLocked.

        A new vault is given time to be known: until then servers write in the clear, behind a pass as well.
        """
        await self._need_vault()
        status = await self._vault.status()
        if status is not None:
            await asyncio.sleep(min(KNOWN, max(0.0, status.created + KNOWN - time.time())))
        if status is None or status.passing is None:
            await self._audit.tell(Event("vault.pass_begun", actor))
        at: Mapping[str, Any] = orjson.loads(status.passing) if status and status.passing else {}
        rows, sealed, begin = int(at.get("rows", 0)), int(at.get("sealed", 0)), int(at.get("kind", 0))
        after = _unkeyed(at["after"]) if "after" in at else None
        for number in range(begin, len(KINDS)):
            while True:
                found, closed, after = await self._some(number, after, (rows, sealed))
                if not found:
                    break
                rows, sealed = rows + found, sealed + closed
                told(found)
            after = None
        dropped = await self._drop_keys()
        passed = Passed(rows, sealed, dropped)

        async def end(connection: AsyncConnection) -> None:
            await connection.execute(update(VAULT).values(passing=None))
            details = {"rows": rows, "sealed": sealed, "dropped": dropped}
            await self._audit.append(connection, Event("vault.pass_ended", actor, details=details))

        await self._writer.change(end)
        return passed

    async def unsealed(self) -> int:
        """How many bodies are kept in the clear."""
        count = 0
        async with self._database.reading() as connection:
            for kind in KINDS:
                for column in (kind.table.c[name] for name in kind.bodies):
                    clear = func.substr(column, 1, len(BEGINNING)) != BEGINNING  # which no NULL is
                    query = select(func.count()).select_from(kind.table).where(clear)
                    count += (await connection.execute(query)).scalar_one()
        return count

    async def retire_keys(self, actor: str) -> int:
        """Let new keys close from now on; `encrypt` closes anew what the old ones have closed. How many are retired."""
        await self._need_vault()

        async def change(connection: AsyncConnection) -> int:
            in_use = (DATA_KEYS.c.kind != INDEX, DATA_KEYS.c.retired.is_(None), DATA_KEYS.c.destroyed.is_(None))
            await connection.execute(update(VAULT).values(generation=VAULT.c.generation + 1, passing=None))
            done = await connection.execute(update(DATA_KEYS).where(*in_use).values(retired=int(time.time())))
            await self._audit.append(connection, Event("vault.keys_retired", actor, details={"keys": done.rowcount}))
            return done.rowcount

        return await self._writer.change(change)

    async def change_master(self, actor: str) -> tuple[MasterKey, int]:
        """Close every data key by a new master key, and forget the old one; no body is touched.

        A new one is made, unless an earlier run was killed, or the environment names one in front of the old one.
        Returns the master key that holds, and how many keys it closed.
        """
        await self._need_vault()
        masters = self._vault.masters
        status = await self._vault.status()
        assert status is not None
        known, held = masters.all(afresh=True), status.master
        if known[0].id == held and not await self._left(held):
            masters.write(MasterKey.new(), *known)  # raises UsageError where they come from the environment
        new = masters.all()[0]
        await self._take_over(held, new, actor)
        closed = 0
        while some := await self._rewrap_some(new):
            closed += some
        await self._audit.tell(Event("vault.master_changed", actor, object=new.id, details={"keys": closed}))
        if masters.can_change:
            masters.write(new)
        return new, closed

    async def _need_vault(self) -> None:
        if not await self._vault.is_on():
            raise UsageError("Nothing is encrypted here yet. `stillhouse vault init` begins it.")
        await self._vault.check()

    async def _left(self, held: str) -> int:
        """Keys that another master key than the one that holds has closed."""
        query = select(func.count()).where(DATA_KEYS.c.master != held, DATA_KEYS.c.wrapped.is_not(None))
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalar_one()

    async def _take_over(self, held: str, new: MasterKey, actor: str) -> None:
        """From now on new keys are closed, and the log is signed, by the new master key."""
        if held == new.id:
            return

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(update(VAULT).values(master=new.id, generation=VAULT.c.generation + 1))
            details = {"from": held, "to": new.id}
            await self._audit.append(connection, Event("vault.master_changing", actor, details=details))

        await self._writer.change(change)

    async def _rewrap_some(self, new: MasterKey) -> int:
        masters = self._vault.masters

        async def change(connection: AsyncConnection) -> int:
            query = select(DATA_KEYS).where(DATA_KEYS.c.master != new.id, DATA_KEYS.c.wrapped.is_not(None))
            rows = (await connection.execute(query.order_by(DATA_KEYS.c.id).limit(KEYS_AT_ONCE))).all()
            for row in rows:
                old = masters.find(row.master)
                if old is None:
                    raise UsageError(
                        f"The master key {row.master} is needed once more: some data keys are closed by it."
                    )
                values = {"wrapped": rewrapped(row, old, new), "master": new.id}
                await connection.execute(update(DATA_KEYS).where(DATA_KEYS.c.id == row.id).values(values))
            return len(rows)

        return await self._writer.change(change)

    async def _some(
        self, number: int, after: tuple[Any, ...] | None, so_far: tuple[int, int]
    ) -> tuple[int, int, tuple[Any, ...] | None]:
        """Close some bodies of a kind: rows looked at, bodies closed, and where to go on.

        They are written only where they are still what they were when they were read.
        """
        kind = KINDS[number]
        rows = await self._read(kind, after)
        if not rows:
            return 0, 0, None
        changes = await self._changes(kind, rows)
        last = tuple(getattr(rows[-1], name) for name in kind.key)
        passing = {
            "kind": number,
            "after": _keyed(last),
            "rows": so_far[0] + len(rows),
            "sealed": so_far[1] + len(changes),
        }

        async def change(connection: AsyncConnection) -> int:
            closed = 0
            for where, values in changes:
                closed += (await connection.execute(update(kind.table).where(where).values(values))).rowcount
            await connection.execute(update(VAULT).values(passing=orjson.dumps(passing)))
            return closed

        return len(rows), await self._writer.change(change), last

    async def _read(self, kind: Kind, after: tuple[Any, ...] | None) -> Sequence[Row[Any]]:
        columns = [kind.table.c[name] for name in kind.key]
        query = select(*[kind.table.c[name] for name in (*kind.key, *kind.bodies, *kind.others)])
        if kind.table is EVAL_ITEMS:
            query = query.add_columns(EVAL_RUNS.c.project).join(EVAL_RUNS, EVAL_RUNS.c.id == EVAL_ITEMS.c.run_id)
        if after is not None:
            query = query.where(tuple_(*columns) > tuple_(*after))
        async with self._database.reading() as connection:
            return (await connection.execute(query.order_by(*columns).limit(AT_ONCE))).all()

    async def _changes(self, kind: Kind, rows: Sequence[Row[Any]]) -> list[tuple[Any, dict[str, bytes]]]:
        """What is to be written: one for each body that no key in use has closed."""
        sealers = await self._sealers(rows)
        wanted: list[tuple[Row[Any], str, Sealer, Place]] = []
        for row, sealer in zip(rows, sealers, strict=True):
            for column in kind.bodies:
                body = getattr(row, column)
                if body is not None and not (is_sealed(body) and sealer.key and key_id_of(body) == sealer.key.id):
                    wanted.append((row, column, sealer, _place(kind, row, column)))
        bodies = await self._vault.opened([(bytes(getattr(row, column)), place) for row, column, _, place in wanted])
        changes: list[tuple[Any, dict[str, bytes]]] = []
        for (row, column, sealer, place), body in zip(wanted, bodies, strict=True):
            if body is not None:  # what was erased stays so
                mine = [kind.table.c[name] == getattr(row, name) for name in kind.key]
                same = and_(*mine, kind.table.c[column] == getattr(row, column))
                changes.append((same, {column: sealer.seal(body, place)}))
        return changes

    async def _sealers(self, rows: Sequence[Row[Any]]) -> list[Sealer]:
        """What closes the bodies of each row."""
        found: dict[int, Sealer] = {}
        for project in {row.project for row in rows}:
            mine = [(number, row) for number, row in enumerate(rows) if row.project == project]
            sealers = await self._vault.sealers(project, [_about(row) for _, row in mine])
            found.update((number, sealer) for (number, _), sealer in zip(mine, sealers, strict=True))
        return [found[number] for number in range(len(rows))]

    async def _drop_keys(self) -> int:
        """Remove keys that were retired long ago, once no body needs them; how many."""
        used: set[str] = set()
        for kind in KINDS:
            for column in kind.bodies:
                heads = select(func.substr(kind.table.c[column], 1, HEAD).label("head")).distinct()
                async with self._database.reading() as connection:
                    used |= {
                        key_id_of(bytes(row.head)) for row in await connection.execute(heads) if is_sealed(row.head)
                    }
        old = (DATA_KEYS.c.retired < int(time.time()) - LATE, DATA_KEYS.c.wrapped.is_not(None))

        async def change(connection: AsyncConnection) -> int:
            ids = set((await connection.execute(select(DATA_KEYS.c.id).where(*old))).scalars()) - used
            for each in ids:
                await connection.execute(delete(DATA_KEYS).where(DATA_KEYS.c.id == each))
            return len(ids)

        return await self._writer.change(change)


def _about(row: Row[Any]) -> tuple[str | None, int]:
    """Whose the bodies of a row are: a subject's, or a month's."""
    subject = getattr(row, "subject", None)
    return None if subject is None else bytes(subject).decode(), getattr(row, "created", int(time.time()))


def _place(kind: Kind, row: Row[Any], column: str) -> Place:
    """Where a body lies, as those who read it have it."""
    if kind.table is KEPT_ANSWERS:
        return row.project, kind.table.name, bytes(row.place).hex(), column
    if kind.table is EVAL_ITEMS:
        return "", kind.table.name, f"{row.run_id}/{row.row}", column
    return row.project, kind.table.name, row.id, column


def _keyed(values: Sequence[Any]) -> list[Any]:
    """A place in a table as JSON has it."""
    return [{"hex": value.hex()} if isinstance(value, bytes) else value for value in values]


def _unkeyed(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(
        bytes.fromhex(cast("dict[str, str]", value)["hex"]) if isinstance(value, dict) else value for value in values
    )
