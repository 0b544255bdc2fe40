"""The rows that an eval's run reads: those that came with it, of a file, or made of stored completions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast, final

import orjson

from stillhouse.storage.records import StoredCompletion, Wanted
from stillhouse.storage.store import Store
from stillhouse.wire.data_sources import FileContent, FileId, Row, StoredCompletions, read_row_line
from stillhouse.wire.errors import WireError
from stillhouse.wire.evals import Config
from stillhouse.wire.item_schema import ItemSchema
from stillhouse.wire.samples import read_sample

__all__ = ["EvalRows", "Unreadable"]

PIECE = 256 * 1024
"""Bytes of a file that are read at once, rounded up to a line."""
LONGEST = 8 * 2**20
"""Bytes of the longest line."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that is none: what of its item can be shown, and why."""

    item: Mapping[str, Any]
    reason: str


@final
@dataclass(frozen=True, slots=True)
class EvalRows:
    """The numbered rows of one run, the same ones however often they are read."""

    store: Store
    project: str
    run_id: str
    source: FileContent | FileId | StoredCompletions
    config: Config

    async def read(self, done: Container[int]) -> AsyncIterator[tuple[int, Row | Unreadable]]:
        """The rows, those that are done left out where that saves work.

        Raises WireError when the source cannot be read or has none.
        """
        match self.source:
            case FileContent(rows=rows):
                for number, row in enumerate(rows):
                    if number not in done:
                        yield number, row
            case FileId(id=file_id):
                async for number, row in self._of_file(file_id):
                    yield number, row
            case StoredCompletions():
                for number, completion_id in enumerate(await self._chosen(self.source)):
                    if number not in done:
                        yield number, await self._of_completion(completion_id)

    async def _of_file(self, file_id: str) -> AsyncIterator[tuple[int, Row | Unreadable]]:
        schema = ItemSchema(self.config.item_schema, "item_schema") if self.config.kind == "custom" else None
        number = -1
        async for line in lines_of(self.store, self.project, file_id):
            if not line.strip():
                continue
            number += 1
            yield number, _row_of_line(line, number, schema)
        if number < 0:
            raise WireError(f"The file {file_id} has no rows.", "invalid_data", "data_source.source.id")

    async def _chosen(self, source: StoredCompletions) -> list[str]:
        """The ids of the stored completions, as they were when the run began; raises WireError when there are none."""
        chosen = await self.store.eval_runs.chosen(self.run_id)
        if chosen is None:
            chosen = await self.store.eval_runs.choose(self.run_id, await self._fitting(source))
        if not chosen:
            raise WireError("No stored completion fits the filters of the run.", "invalid_data", "data_source.source")
        return list(chosen)

    async def _fitting(self, source: StoredCompletions) -> list[str]:
        """Those that fit the filters of the eval and of the run, oldest first; where these contradict, none."""
        wanted = {**self.config.metadata, **source.metadata}
        if any(wanted[key] != value for key, value in self.config.metadata.items()):
            return []
        since, until = source.created_after, source.created_before
        return await self.store.completions.ids(self.project, Wanted(source.model, wanted), since, until, source.limit)

    async def _of_completion(self, completion_id: str) -> Row | Unreadable:
        kept = await self.store.completions.get(self.project, completion_id)
        if kept is None:
            return Unreadable({}, f"The stored completion {completion_id} has been deleted since the run began.")
        return row_of_completion(kept)


def row_of_completion(kept: StoredCompletion) -> Row | Unreadable:
    """A stored completion as an item, what was asked, and a sample, what was answered."""
    item = {"input": orjson.loads(kept.messages), "completion_id": kept.id}
    if not item["input"]:
        return Unreadable(item, f"The stored completion {kept.id} was kept without its words.")
    try:
        return Row(item, read_sample(orjson.loads(kept.answer), "answer"))
    except WireError as error:
        return Unreadable(item, str(error))


async def lines_of(store: Store, project: str, file_id: str) -> AsyncIterator[bytes]:
    """The lines of an uploaded file, read as they are needed; raises WireError when there is no such file."""
    found = await store.files.get(project, file_id)
    if found is None:
        raise WireError(f"No such File object: {file_id}", "invalid_data", "data_source.source.id")
    file = await store.files.open(found)
    try:
        while lines := await asyncio.to_thread(_some_lines, file):
            for line in lines:
                yield line
    finally:
        file.close()


def _some_lines(file: BinaryIO) -> list[bytes]:
    """The next lines of a file, none at its end; raises WireError at one that is longer than any row may be."""
    lines: list[bytes] = []
    size = 0
    while size < PIECE and (line := file.readline(LONGEST + 1)):
        if len(line) > LONGEST:
            raise WireError(f"A line of the file has more than {LONGEST // 2**20} MiB.", "invalid_data")
        lines.append(line)
        size += len(line)
    return lines


def _row_of_line(line: bytes, number: int, schema: ItemSchema | None) -> Row | Unreadable:
    try:
        return read_row_line(line, number + 1, schema)
    except WireError as error:
        return Unreadable(_shown(line), str(error))


def _shown(line: bytes) -> Mapping[str, Any]:
    """The item of a line that does not fit, where it has one."""
    try:
        told: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    item: object = cast(dict[str, Any], told).get("item") if isinstance(told, dict) else None
    return cast(dict[str, Any], item) if isinstance(item, dict) else {}
