"""Eval runs carried out: every row sampled, graded, kept and counted; what was kept before is not done again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import final

from stillhouse.chat import Answer, Chat, ChatCall
from stillhouse.errors import TeacherError
from stillhouse.evaluation.graders.build import Means, build_grader
from stillhouse.evaluation.kept import done_item, restore_source, restored, unreadable_item
from stillhouse.evaluation.run import grade_rows
from stillhouse.jobs.eval_rows import EvalRows, Unreadable
from stillhouse.storage.eval_records import DoneItem, StoredRun
from stillhouse.storage.store import Store
from stillhouse.wire.data_sources import DataSource, Row
from stillhouse.wire.errors import WireError, read_error
from stillhouse.wire.evals import Eval

__all__ = ["Pace", "RunAsker", "carry_out"]

HOPELESS = (401, 403, 404)
"""Statuses of refusals that the next row would meet as well."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes."""

    at_once: int = 8
    """Rows in work at the same time."""
    together: int = 100
    """At most so many rows to a commit."""
    look: float = 0.5
    """Seconds between two looks whether the run has been cancelled."""


async def carry_out(store: Store, run_id: str, means: Means, pace: Pace | None = None) -> None:
    """Bring a run to its end, from wherever it is; one that is at its end, or gone, stays so.

    Ends early when the run is cancelled or deleted meanwhile. Raises StorageError when the database fails: the run can
    be carried on with later.
    """
    found = await store.eval_runs.find(run_id)
    if found is None or not await store.eval_runs.move(run_id, "in_progress"):
        return
    project, run = found
    kept = await store.evals.get(project, run.eval_id)
    if kept is None:
        return
    work = asyncio.create_task(_Work(store, project, run, restored(kept), means, pace or Pace()).whole())
    watch = asyncio.create_task(_until_stopped(store, run_id, (pace or Pace()).look))
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, watch):
            task.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)
    if not work.cancelled():
        work.result()
    elif not watch.cancelled():
        watch.result()


@final
@dataclass(slots=True)
class RunAsker:
    """Asks models for a run, says what they said when they refused, and notes what would be refused again."""

    chat: Chat
    model: str | None
    """Whom the run samples; others judge."""
    hopeless: WireError | None = None

    async def __call__(self, call: ChatCall) -> Answer:
        """The answer of a model; raises StillhouseError."""
        try:
            return await self.chat(call)
        except WireError as error:
            self._note(call, error.status, error)
            raise
        except TeacherError as error:
            told = read_error(error.body)
            better = TeacherError(f"{error} {told[0]}" if told else str(error), error.status, error.body)
            self._note(call, error.status, WireError(str(better), (told and told[1]) or "sampling_error"))
            raise better from error

    def _note(self, call: ChatCall, status: int | None, error: WireError) -> None:
        if call.model == self.model and status in HOPELESS:
            self.hopeless = error


@final
@dataclass
class _Work:
    """One run's work."""

    store: Store
    project: str
    run: StoredRun
    of: Eval
    means: Means
    pace: Pace
    waiting: list[DoneItem] = field(default_factory=list[DoneItem])
    """Rows that are done and not kept yet."""
    readable: int = 0
    """Rows of the source that could be read, those done before included."""
    reason: str = ""
    """Why the first row that could not be read could not."""

    async def whole(self) -> None:
        """Every row, and then the run's end."""
        try:
            if await self._rows(restore_source(self.run)):
                await self.store.eval_runs.move(self.run.id, "completed")
        except WireError as error:
            await self.store.eval_runs.move(self.run.id, "failed", (error.code or "invalid_data", str(error)))

    async def _rows(self, source: DataSource) -> bool:
        """Every row that is not done yet; False when the run has been stopped meanwhile. Raises WireError."""
        done = await self.store.eval_items.done(self.run.id)
        asker = RunAsker(self.means.chat, source.asking.model if source.asking else None)
        means = replace(self.means, chat=asker)
        graders = {one.id: build_grader(one.grader, means) for one in self.of.criteria}
        rows = EvalRows(self.store, self.project, self.run.id, source.source, self.of.config)
        fresh = self._fresh(rows.read(done), done)
        keeping = asyncio.create_task(self._keep())
        async with aclosing(grade_rows(fresh, source.asking, graders, asker, self.pace.at_once)) as graded:
            async for number, each in graded:
                if asker.hopeless is not None:
                    raise asker.hopeless
                self.waiting.append(done_item(self.run, number, each, self.of.criteria, int(time.time())))
                if keeping.done() or len(self.waiting) >= self.pace.together:
                    if not await keeping:
                        return False
                    keeping = asyncio.create_task(self._keep())
        going = await keeping
        while going and self.waiting:
            going = await self._keep()
        if going and self.reason and not self.readable:
            raise WireError(f"No row of the data source can be used. {self.reason}", "invalid_data")
        return going

    async def _fresh(
        self, rows: AsyncIterator[tuple[int, Row | Unreadable]], done: Collection[int]
    ) -> AsyncIterator[tuple[int, Row]]:
        """The rows that are to be graded; those that cannot be are done with that."""
        self.readable += len(done)
        async for number, row in rows:
            if isinstance(row, Row):
                self.readable += 1
                if number not in done:
                    yield number, row
                continue
            self.reason = self.reason or row.reason
            if number in done:
                self.readable -= 1
                continue
            self.waiting.append(unreadable_item(self.run, number, row.item, row.reason, int(time.time())))
            if len(self.waiting) >= self.pace.together:
                await self._keep()

    async def _keep(self) -> bool:
        """Keep some of the rows that wait; False when the run is stopped, and keeps no more."""
        batch, self.waiting = self.waiting[: self.pace.together], self.waiting[self.pace.together :]
        return not batch or await self.store.eval_items.add(self.run.id, batch)


async def _until_stopped(store: Store, run_id: str, seconds: float) -> None:
    """Back when a run is no longer in progress."""
    while await store.eval_runs.status(run_id) == "in_progress":
        await asyncio.sleep(seconds)
