"""Datasets without a subject: each version that has the subject's items is replaced by one that has not."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import orjson

from stillhouse.data.catalogue import Catalogue
from stillhouse.data.items import Item
from stillhouse.data.subjects import SUBJECT
from stillhouse.data.trace import ERASED as WORDS_GONE
from stillhouse.data.trace import Trace
from stillhouse.data.versions import (
    ABOUT,
    BAD_ROWS,
    ERASED,
    LINEAGE,
    Step,
    Version,
    is_reference,
    parse_reference,
    write_private,
)
from stillhouse.errors import OnHold
from stillhouse.storage.store import Store
from stillhouse.storage.traces import Piece

__all__ = ["ErasingVersions", "Losing"]

ROUNDS = 5
"""Times that all versions are read to follow items to what was made of them."""


STEP = "step"
"""The key under which a file beside a version tells one step; others tell several."""


@final
@dataclass(frozen=True, slots=True)
class Losing:
    """A version that has items of the subject."""

    reference: str
    hash: str
    items: int
    rows: int
    """Of its items those of the subject."""
    dropped: int
    """Of those that its step left out; also those of others whose reason quotes the subject."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "version": self.reference,
            "hash_before": self.hash,
            "items_before": self.items,
            "rows": self.rows,
            "rows_dropped": self.dropped,
        }


@final
class ErasingVersions:
    """The versions of a project's datasets, as an erasure sees them."""

    def __init__(self, store: Store, catalogue: Catalogue, trace: Trace, tell: Callable[[str], None]) -> None:
        self._store, self._catalogue, self._trace, self._tell = store, catalogue, trace, tell

    async def learn(self) -> None:
        """Fill the trace with the subject's items, and with what was made of them, in whatever version."""
        for _ in range(ROUNDS):
            known = len(self._trace.ids)
            for version in await self._versions():
                self._tell(f"Looking through {version.reference}")
                for item in self._every(version):
                    if self._trace.is_item(item):
                        self._trace.learn_item(item)
            if len(self._trace.ids) == known:
                return

    async def unlearn(self) -> None:
        """Drop from the trace what items of others say as well."""
        for version in await self._versions():
            rows = ((orjson.dumps(item.to_json()), self._whose(item)) for item in self._every(version))
            self._trace.forget_common(rows)

    async def survey(self) -> list[Losing]:
        """The versions that have items of the subject."""
        found: list[Losing] = []
        for version in await self._versions():
            rows = sum(map(self._is_theirs, self._catalogue.read(version)))
            dropped = sum(
                self._is_theirs(item) or self._cleaned(reason) != reason
                for item, reason in self._catalogue.read_dropped(version)
            )
            if rows or dropped:
                found.append(Losing(version.reference, version.hash, version.items, rows, dropped))
        return found

    async def survey_beside(self) -> dict[str, int]:
        """How many steps name the subject, and how many rows are theirs that imports could not read."""
        rows = sum([self._bad_rows(version) for version in await self._versions()])
        return {"version": len([each async for each in self._steps()]), "bad_row": rows}

    async def erase_beside(self) -> None:
        """Take the subject out of the steps of versions, in the database and beside their items, and out of rows that
        imports could not read. What versions hold stays, and so do their hashes."""
        self._tell("Erasing from the steps of versions")
        for version in await self._versions():
            if self._bad_rows(version):
                place = version.path.with_name(BAD_ROWS)
                with place.open("rb") as file:
                    write_private(place, self._trace.kept_lines(file, Counter()))
            for name, key in ((ABOUT, STEP), (LINEAGE, "lineage")):
                self._unname(version.path.with_name(name), key)
        async for piece, step in self._steps():
            await self._store.traces.change(piece, orjson.dumps(step, option=orjson.OPT_SORT_KEYS))

    async def stood_for(self, references: Sequence[str]) -> dict[str, str]:
        """Versions that earlier erasures destroyed, each with the one of these that took its place: it had the rows."""
        found: dict[str, str] = {}
        for reference in references:
            waiting = [reference]
            while waiting:
                name, number = parse_reference(waiting.pop())
                stored = await self._store.datasets.find(self._catalogue.project, name, number)
                for parent in stored.parents if stored else ():
                    older = await self._store.datasets.find(self._catalogue.project, *parent)
                    if older and Step.from_json(orjson.loads(older.step)).verb == ERASED:
                        found.setdefault(f"{parent[0]}@{parent[1]}", reference)
                        waiting.append(f"{parent[0]}@{parent[1]}")
        return found

    async def replace(self, references: Sequence[str], erasure: str) -> list[dict[str, Any]]:
        """Put a successor in the place of each version, and destroy its files; what became of each.

        Where the newest version of a name is not among them, it is added once more, so that the name means it still.
        """
        told: list[dict[str, Any]] = []
        for reference in references:
            self._tell(f"Writing {reference} anew")
            told.append(await self._replaced(reference, erasure))
        for name in sorted({parse_reference(reference)[0] for reference in references}):
            await self._newest_again(name, set(references), erasure)
        return told

    async def _replaced(self, reference: str, erasure: str) -> dict[str, Any]:
        name, number = parse_reference(reference)
        project = self._catalogue.project
        stored = await self._store.datasets.find(project, name, number)
        if stored is None:
            return {"version": reference, "successor": None}
        step = Step.from_json(orjson.loads(stored.step))
        if step.verb == ERASED:  # by the same command, before it was killed
            return {"version": reference, **step.settings}
        version = await self._catalogue.find(reference)
        successor = await self._successor(version, erasure)
        tomb = await self._catalogue.bury(version, successor, await self._holds(), {"erasure": erasure})
        return {"version": reference, **tomb.settings}

    async def _holds(self) -> set[str]:
        """The holds that there are; raises OnHold where one is on the subject."""
        there = {hold.id for hold in await self._store.holds.all(self._catalogue.project)}
        hold = await self._store.holds.on_subject(self._catalogue.project, self._trace.subject)
        if hold is not None:
            raise OnHold(hold.words)
        return there

    async def _successor(self, version: Version, erasure: str) -> Version | None:
        """The version without the subject's items; None where no item is left."""
        counts = {"kept": 0, "erased": 0}

        def left() -> Iterator[Item]:
            for item in self._catalogue.read(version):
                if self._is_theirs(item):
                    counts["erased"] += 1
                else:
                    counts["kept"] += 1
                    yield item

        dropped = (
            (item, self._cleaned(reason))
            for item, reason in self._catalogue.read_dropped(version)
            if not self._is_theirs(item)
        )
        if all(map(self._is_theirs, self._catalogue.read(version))):
            return None
        step = Step("erase", (version.reference,), {"erasure": erasure}, counts)
        return await self._catalogue.add(version.name, left(), step, dropped)

    async def _newest_again(self, name: str, replaced: set[str], erasure: str) -> None:
        every = [each for each in await self._catalogue.list() if each.name == name]
        before = [each for each in every if each.step.verb != "erase" and each.step.verb != ERASED]
        number = max((parse_reference(reference)[1] or 0 for reference in replaced), default=0)
        newest = max(before, key=lambda each: each.number, default=None)
        made = [each for each in every if each.step.verb == "erase" and each.step.settings.get("erasure") == erasure]
        if newest is None or newest.number < number or not made or made[-1].step.parents == (newest.reference,):
            return
        step = Step("erase", (newest.reference,), {"erasure": erasure}, {"kept": newest.items, "erased": 0})
        await self._catalogue.add(name, self._catalogue.read(newest), step, self._catalogue.read_dropped(newest))

    async def _versions(self) -> list[Version]:
        """Versions that have files still, oldest first, so that parents come before what was made of them."""
        there = [each for each in await self._catalogue.list() if each.step.verb != ERASED]
        return sorted(there, key=lambda each: (each.created, each.name, each.number))

    async def _steps(self) -> AsyncIterator[tuple[Piece, dict[str, Any]]]:
        """The steps that name the subject, with what stays of each."""
        async for piece in self._store.traces.pieces(self._catalogue.project, "version"):
            step = orjson.loads(piece.content)
            unnamed = self._unnamed(step)
            if unnamed != step:
                yield piece, unnamed

    def _bad_rows(self, version: Version) -> int:
        """How many rows of the subject an import could not read."""
        place, told = version.path.with_name(BAD_ROWS), Counter[str]()
        if place.is_file():
            with place.open("rb") as file:
                for _ in self._trace.kept_lines(file, told):
                    pass
        return sum(told.values())

    def _unname(self, place: Path, key: str) -> None:
        """Take the subject out of the step, or the steps, that a file beside a version tells."""
        if place.is_file():
            told = orjson.loads(place.read_bytes())
            steps = told[key]
            unnamed = self._unnamed(steps) if key == STEP else [self._unnamed(each) for each in steps]
            if unnamed != steps:
                write_private(place, [orjson.dumps({**told, key: unnamed}, option=orjson.OPT_INDENT_2) + b"\n"])

    def _unnamed(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """A step without the subject; versions that it was made of, and what took its place, keep their names."""
        parents = [each if is_reference(each) else self._trace.cleaned(each) for each in step["parents"]]
        told = step["settings"] if step["verb"] == ERASED else self._trace.cleaned(step["settings"])
        return {**step, "parents": parents, "settings": told, "counts": self._trace.cleaned(step["counts"])}

    def _every(self, version: Version) -> Iterator[Item]:
        yield from self._catalogue.read(version)
        for item, _ in self._catalogue.read_dropped(version):
            yield item

    def _whose(self, item: Item) -> bool | None:
        """Whether an item is the subject's by its facts; None where it names nobody."""
        if self._trace.is_item(item):
            return True
        return None if item.facts.subject is None else False

    def _cleaned(self, reason: str) -> str:
        """The reason for which somebody else's item was left out, without the subject's words and name in it."""
        raw = reason.encode()
        is_named = self._trace.names(raw) or f"the {SUBJECT} {self._trace.subject}, " in reason  # as `balance` says it
        if not (is_named or self._trace.says(raw)):
            return reason
        return f"{reason.split(':', 1)[0]}: {WORDS_GONE}" if ":" in reason else WORDS_GONE

    def _is_theirs(self, item: Item) -> bool:
        return self._trace.is_item(item) or self._trace.why(item.to_json()) is not None
