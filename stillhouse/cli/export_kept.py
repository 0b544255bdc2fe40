"""What a server keeps, written as plain JSON lines that need nothing of ours to be read."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import orjson

from stillhouse.cli.console import actor
from stillhouse.errors import UsageError
from stillhouse.storage.records import Cut, Page, Wanted

if TYPE_CHECKING:
    from stillhouse.storage.store import Store

__all__ = ["What", "export_kept"]

TOGETHER = 500
"""Rows that are read at once."""

Lines = AsyncGenerator[tuple[str, bytes]]
"""The file that a line belongs to, and the line."""


class What(StrEnum):
    """What is exported."""

    COMPLETIONS = "completions"
    FILES = "files"
    EVALS = "evals"
    JOBS = "jobs"


class Row(Protocol):
    """Anything that has an id."""

    @property
    def id(self) -> str: ...


Kind = TypeVar("Kind", bound=Row)


async def export_kept(
    place: Path, database: str | None, project: str, what: list[What], out: Path, told: Callable[[str, int], None]
) -> dict[str, int]:
    """Write what is kept in a home folder or database into files of `out`; how many lines each has.

    `told` hears of each file and how many more lines it has got.
    """
    from stillhouse.storage.audit_records import Event
    from stillhouse.storage.database import database_url
    from stillhouse.storage.store import Store

    url = database_url(database, place)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise UsageError(f"There is nothing to export: {url.database} is not there. Name the --home of the server.")
    store = await Store.open(database, place)
    try:
        counts = await _export(store, project, what, out, told)
        await store.audit.tell(Event("kept.exported", actor(), project, details=counts))
        return counts
    finally:
        await store.close()


async def _export(
    store: Store, project: str, what: list[What], out: Path, told: Callable[[str, int], None]
) -> dict[str, int]:
    """Write the files; how many lines each has. Each takes its place when it is whole."""
    sources: dict[What, tuple[tuple[str, ...], Callable[[], Lines]]] = {
        What.COMPLETIONS: (("completions.jsonl",), lambda: _completions(store, project)),
        What.FILES: (("files.jsonl",), lambda: _files(store, project, out / "files")),
        What.EVALS: (("evals.jsonl", "eval_runs.jsonl", "eval_output_items.jsonl"), lambda: _evals(store, project)),
        What.JOBS: (("jobs.jsonl", "job_events.jsonl"), lambda: _jobs(store, project)),
    }
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    for each in what:
        names, lines = sources[each]
        waiting = {name: _private(out / f".{name}.partial") for name in names}
        try:
            async for name, line in lines():
                waiting[name].write(line + b"\n")
                counts[name] = counts.get(name, 0) + 1
                told(name, 1)
            for name, file in waiting.items():
                file.close()
                (out / f".{name}.partial").replace(out / name)
                counts.setdefault(name, 0)
        finally:
            for name, file in waiting.items():
                file.close()
                (out / f".{name}.partial").unlink(missing_ok=True)
    return counts


async def _completions(store: Store, project: str) -> Lines:
    from stillhouse.wire.stored_completions import write_stored

    after: str | None = None
    while True:
        page = await store.completions.page(project, Wanted(), Cut(TOGETHER, after, ascending=True))
        rows = await store.completions.several(project, [row.id for row in page.rows]) if page else []
        for row in rows:
            shown = write_stored(row.answer, row.metadata)
            yield "completions.jsonl", shown[:-1] + b',"messages":' + row.messages + b"}"
        if page is None or not page.has_more:
            return
        after = page.rows[-1].id


async def _files(store: Store, project: str, folder: Path) -> Lines:
    from stillhouse.gateway.routes.files import card_of
    from stillhouse.wire.files import write_file

    folder.mkdir(mode=0o700, exist_ok=True)
    async for file in _all(lambda cut: store.files.page(project, None, cut)):
        with await store.files.open(file) as content, _private(folder / file.id) as copy:
            await asyncio.to_thread(shutil.copyfileobj, content, copy)
        yield "files.jsonl", write_file(card_of(file))


async def _evals(store: Store, project: str) -> Lines:
    from stillhouse.evaluation.kept import show_eval, show_run

    async for each in _all(lambda cut: store.evals.page(project, cut)):
        yield "evals.jsonl", orjson.dumps(show_eval(each))
        eval_id = each.id
        async for run in _all(lambda cut, eval_id=eval_id: store.eval_runs.page(project, eval_id, cut)):
            yield "eval_runs.jsonl", orjson.dumps(show_run(run, ""))
            run_id = run.id
            async for item in _all(lambda cut, run_id=run_id: store.eval_items.page(run_id, cut)):
                yield "eval_output_items.jsonl", item.content


async def _jobs(store: Store, project: str) -> Lines:
    from stillhouse.gateway.routes.fine_tuning import job_parts
    from stillhouse.wire.fine_tuning import EventView, write_events, write_job

    async for job in _all(lambda cut: store.jobs.page(project, cut)):
        yield "jobs.jsonl", write_job(*job_parts(job))
        job_id = job.id
        async for row in _all(lambda cut, job_id=job_id: store.jobs.events(job_id, cut)):
            view = EventView(row.id, row.created, row.level, row.message, row.data, row.metrics)
            [event] = orjson.loads(write_events([view], has_more=False))["data"]
            yield "job_events.jsonl", orjson.dumps({"job_id": job_id, **event})


async def _all(page: Callable[[Cut], Awaitable[Page[Kind] | None]]) -> AsyncGenerator[Kind]:
    """Every row of a list, oldest first."""
    after: str | None = None
    while True:
        found = await page(Cut(TOGETHER, after, ascending=True))
        if found is None:
            return
        for row in found.rows:
            yield row
        if not found.has_more:
            return
        after = found.rows[-1].id


def _private(path: Path) -> Any:
    """A new file, for its owner only."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
