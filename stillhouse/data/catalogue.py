"""Catalogue: datasets in immutable versions, their items in the home folder, what made them in the database."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import threading
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, final

import orjson

from stillhouse.data.held import refuse_held
from stillhouse.data.items import Item, hash_items
from stillhouse.data.parquet import ParquetWriter, connect, read_items, read_reasons
from stillhouse.data.versions import DROPPED, ERASED, ITEMS, Step, Version, check_name, is_reference, parse_reference
from stillhouse.errors import DataError, StorageError, UsageError
from stillhouse.storage.audit_records import SERVER
from stillhouse.storage.dataset_records import Edge, StoredMedia, StoredUse, StoredVersion, version_folder
from stillhouse.storage.store import Store

__all__ = ["NOT_WANTED", "Catalogue", "Step", "Version"]

NOT_WANTED = "not-wanted"
"""The reason of what a filter left out."""

LEFTOVER = 86_400
"""Seconds after which a folder that was not finished belongs to nobody any more."""

SHOWN = 12
"""Names of datasets that an error tells."""


Each = TypeVar("Each")


@dataclass(slots=True)
class _Written:
    """What became of items on their way to the disk."""

    folder: Path
    hash: str = ""
    items: int = 0
    dropped: int = 0
    media: dict[str, StoredMedia] = field(default_factory=dict[str, StoredMedia])

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())


@final
class Catalogue:
    """The datasets of one project. It belongs to one event loop, as the store does."""

    def __init__(self, store: Store, home: Path, project: str) -> None:
        self.project = project
        self._store, self._home = store, home

    @contextmanager
    def room(self, name: str) -> Generator[Path]:
        """A folder of one's own beside the versions of a dataset, for what may go into the next; gone afterwards."""
        made = self._folder((check_name(name), 0)).with_name(f".{secrets.token_hex(8)}")
        try:
            _make(made)
            yield made
        finally:
            _tidy(made)

    async def add(
        self,
        name: str,
        items: Iterable[Item],
        step: Step,
        dropped: Iterable[tuple[Item, str]] = (),
        beside: Sequence[Path] = (),
    ) -> Version:
        """A new version `name@N`; the newest one again where that has the same items by the same step.

        `dropped` are the items that the step left out, with the reasons; they are asked for after the items, and
        `step.counts` is read last, so that both may be filled while the items are read. `beside` are files that move
        to its own, such as rows that could not be read, where they are there by then. Raises what reading the items
        raises, and then nothing is kept.
        """
        check_name(name)
        with self._store.files.blobs.held():  # the bytes of its pictures belong to nothing until its record is there
            return await self._add(name, items, step, dropped, beside)

    async def _add(
        self,
        name: str,
        items: Iterable[Item],
        step: Step,
        dropped: Iterable[tuple[Item, str]],
        beside: Sequence[Path],
    ) -> Version:
        stop = threading.Event()
        waiting = self._folder((name, 0)).with_name(f".{secrets.token_hex(8)}")
        try:
            written = await asyncio.to_thread(_write, waiting, _until(stop, items), _until(stop, dropped))
            for path in beside:
                if path.is_file():
                    await asyncio.to_thread(shutil.move, path, waiting / path.name)
            made_by = _dump(step)
            newest = await self._store.datasets.find(self.project, name)
            if newest and newest.hash == written.hash and newest.step == made_by:
                return self._version(newest)
            number = await self._store.datasets.next_number(self.project, name)
            version = Version(
                name=name,
                number=number,
                hash=written.hash,
                items=written.items,
                dropped=written.dropped,
                bytes=written.bytes,
                created=int(time.time()),
                step=step,
                path=self._folder((name, number)) / ITEMS,
            )
            await asyncio.to_thread(_place, waiting, version)
            await self._store.datasets.add(self.project, _stored(version), written.media.values())
            return version
        finally:
            stop.set()
            await asyncio.to_thread(_tidy, waiting)

    async def find(self, reference: str) -> Version:
        """The version that `name@3` names, or the newest of `name`; raises UsageError that tells what there is."""
        name, number = parse_reference(reference)
        found = await self._store.datasets.find(self.project, name, number)
        if found:
            version = self._version(found)
            if version.step.verb == ERASED:
                raise UsageError(_erased(version))
            return version
        there = sorted({f"{each.name}@{each.number}" if each.name == name else each.name for each in await self._all()})
        told = ", ".join(there[:SHOWN]) + (", ..." if len(there) > SHOWN else "")
        raise UsageError(
            f"There is no dataset {reference} in the project {self.project!r}. "
            + (f"There are: {told}." if there else "There is none yet: stillhouse data import FILE --name NAME")
        )

    async def list(self) -> Sequence[Version]:
        """Every version, by name and number."""
        return [self._version(each) for each in await self._all()]

    def read(self, version: Version) -> Iterator[Item]:
        """The items of a version in their order, without holding them."""
        return read_items(version.path)

    def read_dropped(self, version: Version) -> Iterator[tuple[Item, str]]:
        """The items that the step of a version left out, with the reasons."""
        return read_reasons(version.dropped_path) if version.dropped else iter(())

    async def left_out(self, version: Version) -> Iterator[tuple[Item, str]]:
        """What the step of a version left out, also a filter's, which lies in the version that was filtered."""
        if version.dropped or version.step.verb != "filter":
            return self.read_dropped(version)
        asked = await self.find(version.step.parents[0])
        return _passed_over(self.read(asked), self.read(version))

    async def lineage(self, version: Version) -> Sequence[Version]:
        """A version and all that it was made of, itself first, each once; those that were deleted are not there."""
        found: dict[Edge, Version] = {}
        waiting = [(version.name, version.number)]
        while waiting:
            edge = waiting.pop(0)
            stored = None if edge in found else await self._store.datasets.find(self.project, *edge)
            if stored:
                found[edge] = self._version(stored)
                waiting.extend(stored.parents)
        return list(found.values())

    async def descendants(self, version: Version) -> Sequence[Version]:
        """All that was made of a version, directly or not, by name and number; without itself."""
        found: set[Edge] = set()
        waiting = [(version.name, version.number)]
        while waiting:
            new = set(await self._store.datasets.children(self.project, waiting.pop())) - found
            found |= new
            waiting.extend(new)
        stored = [await self._store.datasets.find(self.project, *edge) for edge in sorted(found)]
        return [self._version(each) for each in stored if each]

    async def going(self, version: Version, with_descendants: bool = False) -> Sequence[Version]:
        """What `delete` would delete; raises what it would raise."""
        return (await self._going(version, with_descendants))[0]

    async def _going(self, version: Version, with_descendants: bool) -> tuple[Sequence[Version], frozenset[str]]:
        """The same, and the legal holds that were found to protect nothing of it; raises OnHold."""
        others = await self.descendants(version)
        if others and not with_descendants:
            raise UsageError(
                f"{version.reference} cannot be deleted alone: of it were made "
                f"{', '.join(each.reference for each in others)}. Delete these as well with --with-descendants."
            )
        going = [version, *others]
        return going, await refuse_held(self._store, self.project, going)

    async def delete(self, version: Version, with_descendants: bool = False, actor: str = SERVER) -> Sequence[Version]:
        """Delete a version and its files; what was deleted. Its number is not given again.

        Raises UsageError when others were made of it, unless these are to go as well, and OnHold.
        """
        going, holds = await self._going(version, with_descendants)
        edges = [(each.name, each.number) for each in going]
        digests = await self._store.datasets.delete(self.project, edges, actor, holds)
        for each in going:
            await asyncio.to_thread(_remove, each.path.parent)
        await self._store.files.release(digests)
        return going

    async def bury(
        self, version: Version, becomes: Version | None, holds: Collection[str], why: Mapping[str, Any]
    ) -> Step:
        """Destroy the files of a version that another stands for, or None; the step that says so, and `why`.

        That it was, what it was made of and what was made of it stays known. `holds` are those that were found to
        protect nothing of it; raises OnHold where there is another by now.
        """
        successor = {
            "successor": becomes.reference if becomes else None,
            "hash_after": becomes.hash if becomes else None,
            "items_after": becomes.items if becomes else 0,
        }
        step = Step(ERASED, version.step.parents, {**successor, **why}, dict(version.step.counts), version.step.code)
        digests = await self._store.datasets.bury(self.project, (version.name, version.number), _dump(step), holds)
        await asyncio.to_thread(shutil.rmtree, version.path.parent, True)
        await self._store.files.release(digests)
        return step

    async def used(self, version: Version, kind: str, user: str) -> None:
        """Note that something learnt from a version: `kind` is what it is (`bundle`), `user` its folder or id."""
        use = StoredUse((version.name, version.number), kind, user, int(time.time()))
        await self._store.datasets.used(self.project, use)

    async def uses(self, versions: Iterable[Version]) -> Sequence[StoredUse]:
        """What learnt from some versions, oldest first."""
        return await self._store.datasets.uses(self.project, [(each.name, each.number) for each in versions])

    async def _all(self) -> Sequence[StoredVersion]:
        return await self._store.datasets.all(self.project)

    def _folder(self, edge: Edge) -> Path:
        return self._home.absolute() / version_folder(self.project, edge)

    def _version(self, stored: StoredVersion) -> Version:
        return Version(
            name=stored.name,
            number=stored.number,
            hash=stored.hash,
            items=stored.items,
            dropped=stored.dropped,
            bytes=stored.bytes,
            created=stored.created,
            step=Step.from_json(orjson.loads(stored.step)),
            path=self._folder((stored.name, stored.number)) / ITEMS,
        )


def _passed_over(every: Iterable[Item], kept: Iterator[Item]) -> Iterator[tuple[Item, str]]:
    """The items that a filter did not keep: it keeps the order."""
    awaited = next(kept, None)
    for item in every:
        if item == awaited:
            awaited = next(kept, None)
        else:
            yield item, NOT_WANTED


def _erased(version: Version) -> str:
    """Why a version cannot be had, and what to take instead."""
    successor = version.step.settings.get("successor")
    if version.step.settings.get("redacted"):
        return f"The items of {version.reference} were destroyed when they were redacted. Take {successor} instead."
    instead = f"Take its successor without that person, {successor}." if successor else "Nothing of it was left."
    return f"The items of {version.reference} were destroyed when a person was erased from it. {instead}"


def _stored(version: Version) -> StoredVersion:
    parents = [parse_reference(parent) for parent in version.step.parents if is_reference(parent)]
    return StoredVersion(
        name=version.name,
        number=version.number,
        created=version.created,
        hash=version.hash,
        items=version.items,
        dropped=version.dropped,
        bytes=version.bytes,
        step=_dump(version.step),
        parents=tuple((name, number) for name, number in parents if number is not None),
    )


def _dump(step: Step) -> bytes:
    return orjson.dumps(step.to_json(), option=orjson.OPT_SORT_KEYS)


def _write(folder: Path, items: Iterable[Item], dropped: Iterable[tuple[Item, str]]) -> _Written:
    """The files of a version that is not there yet."""
    _make(folder)
    written = _Written(folder)
    with connect(folder / "room") as connection:
        writer = ParquetWriter(connection)

        def each() -> Iterator[Item]:
            for item in items:
                _add(writer, item, None)
                for one in item.media:
                    written.media[one.digest] = StoredMedia(one.digest, one.bytes)
                yield item

        written.hash = hash_items(each())
        written.items = writer.rows
        writer.finish(folder / ITEMS)
        left = ParquetWriter(connection, reasons=True)
        for item, reason in dropped:
            _add(left, item, reason)
            for one in item.media:
                written.media[one.digest] = StoredMedia(one.digest, one.bytes)
        written.dropped = left.rows
        if left.rows:
            left.finish(folder / DROPPED)
    with suppress(FileNotFoundError):
        shutil.rmtree(folder / "room")
    return written


def _until(stop: threading.Event, each: Iterable[Each]) -> Iterator[Each]:
    """Things one by one, until nobody waits for them any more."""
    for one in each:
        if stop.is_set():
            raise StorageError("The dataset was not kept: it was interrupted.")
        yield one


def _make(folder: Path) -> None:
    """A folder of a dataset and those above it, for their owner alone."""
    for place in (folder.parents[2], folder.parents[1], folder.parent, folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)


def _add(writer: ParquetWriter, item: Item, reason: str | None) -> None:
    try:
        writer.add(item, reason)
    except (TypeError, ValueError) as error:
        where = f"{item.source.origin or 'an item'}, row {item.source.row}"
        raise DataError(f"{where}: this item cannot be kept: {error}.") from error


def _place(waiting: Path, version: Version) -> None:
    """Give the files of a version their place, to be there also after the power fails."""
    folder = version.path.parent
    version.write(waiting)
    try:
        for path in waiting.iterdir():
            path.chmod(0o600)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if folder.exists():  # of a database that is no more: this number is ours
            raise StorageError(
                f"{folder} is there already, though this database knows no {version.reference}: another database uses "
                "this home folder, or it was restored without its datasets. Move that folder away."
            )
        waiting.rename(folder)
        for place in (folder, folder.parent):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise StorageError(f"The dataset {version.reference} cannot be kept: {error}.") from error


def _tidy(waiting: Path) -> None:
    """Remove what was not finished, and what programs left that were killed."""
    shutil.rmtree(waiting, ignore_errors=True)
    if waiting.parent.is_dir():
        for path in waiting.parent.glob(".*"):
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - LEFTOVER:
                    shutil.rmtree(path)
        with suppress(OSError):
            waiting.parent.rmdir()  # which only an empty folder allows


def _remove(folder: Path) -> None:
    """Remove the files of a version: out of its place first, so that nobody finds half of it."""
    going = folder.with_name(f".{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):
        folder.rename(going)
        _tidy(going)
