"""Worker: the process that does what was ordered: it runs workflows, and takes over those of dead workers."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, final

from stillhouse import settings
from stillhouse.errors import StillhouseError, StorageError
from stillhouse.jobs.workflows import WORKFLOWS, Shop, Step, Workflow
from stillhouse.storage.store import Store
from stillhouse.storage.work import Worker as Seen

if TYPE_CHECKING:
    from stillhouse.jobs.durable import Durable

__all__ = ["Setting", "Worker", "serve"]

ALL = 1_000_000
"""Orders that may wait at most when a worker starts."""
PLACES = 64
"""Workers that one home folder has room for."""
SECONDS_TO_STOP = 6.0
"""How long a worker that is told to stop may take; what it has not put away by then is done as after a kill."""
CONDEMNED = 70
"""The exit code of a worker whose work others have taken over."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a worker works. A worker that has not beaten for `patience` seconds is dead to the others."""

    home: Path
    database: str | None = None
    gateway: str | None = None
    beat: float = 3.0
    patience: float = 30.0
    poll: float = 0.5
    checkpoint_every: float = 10.0
    """Seconds of training that a kill may cost."""

    @classmethod
    def read(cls, line: bytes) -> Setting:
        """The setting that a gateway writes to the worker it starts."""
        told = json.loads(line)
        return cls(**(told | {"home": Path(told["home"])}))


@final
@dataclass
class Worker:
    """One process's work, from `run` until it is told to `stop`. There is one in a process."""

    setting: Setting
    workflows: dict[str, Workflow] = field(default_factory=lambda: dict(WORKFLOWS))
    started: Callable[[str], None] = lambda worker: None
    """Told the worker's id once it takes orders."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Work until told to stop; raises StorageError when the database cannot be opened.

        It does not return while a workflow of its is unfinished: the process is to be left by `os._exit` then, since
        DBOS would take what is interrupted for failed. `serve` does both.
        """
        await asyncio.to_thread(_import_durable)  # which takes a while, in which others had better not wait for a beat
        self._steps: set[asyncio.Task[bool]] = set()
        self._loop = asyncio.get_running_loop()
        store = await Store.open(self.setting.database, self.setting.home)
        setting, name = self.setting, f"worker-{secrets.token_hex(8)}"
        self._shop = Shop(store, setting.home, name, setting.gateway, setting.checkpoint_every)
        place, held = _take_place(self.setting.home / "workers")
        try:
            await store.workers.join(self._shop.worker, place)
            await self._end_those_of(place)
            await asyncio.to_thread(self._launch)
            await self._order_anew()
            self.started(self._shop.worker)
            duties = [asyncio.create_task(duty()) for duty in (self._take_orders, self._keep_alive)]
            waiting = asyncio.create_task(self.stopping.wait())
            await asyncio.wait([*duties, waiting], return_when=asyncio.FIRST_COMPLETED)
            self.stopping.set()
            for task in (*duties, waiting, *self._steps):
                task.cancel()
            outcomes: list[object] = await asyncio.gather(*duties, *self._steps, return_exceptions=True)
            await asyncio.to_thread(self._durable.close)
            await store.workers.leave(self._shop.worker)
            await store.close()
        finally:
            held.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def stop(self) -> None:
        """Begin to end; to be called in the event loop."""
        self.stopping.set()

    def _launch(self) -> None:
        """Begin to take workflows out of their queues; each has one."""
        self._durable = _import_durable()(self.setting.home, self.setting.database, self._shop.worker)
        queues = {name: workflow.at_once for name, workflow in self.workflows.items()}
        self._durable.launch(self._work, queues, self.setting.poll)

    def _work(self, name: str, argument: str) -> None:
        """A workflow as DBOS sees it: one of its steps for each of ours. It runs in a thread."""
        workflow = self.workflows[name]
        for number, step in enumerate(workflow.steps):
            if not self._durable.step(f"{name}.{number}", partial(self._do, workflow, step, argument)):
                return

    def _do(self, workflow: Workflow, step: Step, argument: str) -> bool:
        """Run a step in the event loop; whether the workflow goes on. It never comes back when the worker ends."""
        try:
            return asyncio.run_coroutine_threadsafe(self._step(workflow, step, argument), self._loop).result()
        except (CancelledError, RuntimeError):
            threading.Event().wait()
            raise

    async def _step(self, workflow: Workflow, step: Step, argument: str) -> bool:
        task = asyncio.create_task(self._whole(workflow, step, argument))
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)
        return await task

    async def _whole(self, workflow: Workflow, step: Step, argument: str) -> bool:
        """A step with what is told of its error; tried again where only the database failed."""
        log = logging.getLogger("stillhouse.jobs")
        while True:
            try:
                try:
                    await step(self._shop, argument)
                except StorageError:
                    raise
                except Exception as error:
                    if not isinstance(error, StillhouseError):
                        log.exception("A step failed.")
                    await self._tell_broken(workflow, argument, error)
                    return False
                return True
            except StorageError as error:
                log.error("%s It is tried again.", error)
                await asyncio.sleep(self.setting.beat)

    async def _tell_broken(self, workflow: Workflow, argument: str, error: Exception) -> None:
        try:
            await workflow.broken(self._shop, argument, error)
        except StorageError:
            raise
        except Exception:
            logging.getLogger("stillhouse.jobs").exception("The end of a workflow could not be told.")

    async def _take_orders(self) -> None:
        """Put orders into their queues; an order's id is its workflow's, so that two workers make one of it."""
        while True:
            try:
                orders = await self._shop.store.orders.waiting()
                for order in orders:
                    if order.workflow in self.workflows:
                        await asyncio.to_thread(self._durable.put, order.id, order.workflow, order.argument)
                        await self._shop.store.orders.taken(order)
            except StorageError as error:
                logging.getLogger("stillhouse.jobs").error("%s", error)
            await asyncio.sleep(self.setting.poll)

    async def _keep_alive(self) -> None:
        """Beat, and take over the work of those that do not; ends the process when it is taken for dead itself."""
        seen: dict[str, tuple[int, float]] = {}
        beaten = time.monotonic()
        while True:
            try:
                if not await self._shop.store.workers.beat(self._shop.worker):
                    os._exit(CONDEMNED)
                beaten = time.monotonic()
                await self._take_over(seen)
            except StorageError as error:
                logging.getLogger("stillhouse.jobs").error("%s", error)
                if time.monotonic() - beaten > 0.7 * self.setting.patience:
                    os._exit(CONDEMNED)  # others may take it for dead at any moment
            await asyncio.sleep(self.setting.beat)

    async def _take_over(self, seen: dict[str, tuple[int, float]]) -> None:
        """Put workflows back into their queues that dead workers had begun.

        A worker is first told never to go on; whoever had begun a workflow and is no worker any more is dead as well.
        """
        busy = await asyncio.to_thread(self._durable.busy)
        workers = await self._shop.store.workers.all()
        alive: set[str] = set()
        for worker in workers:
            quiet = worker.id != self._shop.worker and self._is_quiet(worker, seen)
            if not worker.ended and not (quiet and await self._shop.store.workers.end(worker)):
                alive.add(worker.id)
        dead = busy - alive
        if dead:
            await asyncio.to_thread(self._durable.take_over, dead)
        for worker in workers:
            if worker.ended and worker.id not in busy:
                await self._shop.store.workers.forget(worker.id)

    def _is_quiet(self, worker: Seen, seen: dict[str, tuple[int, float]]) -> bool:
        """Whether one has not counted on for too long by our clock: clocks are never compared."""
        now = time.monotonic()
        beats, since = seen.get(worker.id, (-1, now))
        if worker.beats != beats:
            seen[worker.id] = worker.beats, now
            return False
        return now - since > self.setting.patience

    async def _order_anew(self) -> None:
        """Order what the database holds to be unfinished and no queue knows, as after a backup was restored.

        Looked at in this order, whatever is ordered or done meanwhile is seen in one of them, or over.
        """
        store = self._shop.store
        unfinished = {name: await workflow.unfinished(store) for name, workflow in self.workflows.items()}
        known = {(order.workflow, order.argument) for order in await store.orders.waiting(ALL)}
        known |= await asyncio.to_thread(self._durable.known)
        for name, arguments in unfinished.items():
            for argument in arguments:
                if (name, argument) not in known:
                    await store.orders.place(name, argument)

    async def _end_those_of(self, place: str) -> None:
        """Workers that were at this worker's place are dead, since it was free."""
        for worker in await self._shop.store.workers.all():
            if worker.place == place and worker.id != self._shop.worker:
                await self._shop.store.workers.leave(worker.id)


def _import_durable() -> type[Durable]:
    settings.forget("DBOS_")  # which may name its hosted service, and is read at import
    from stillhouse.jobs.durable import Durable

    return Durable


def _take_place(folder: Path) -> tuple[str, IO[str]]:
    """A place that no other living process has, and the file that holds it until it is closed or the process ends."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(PLACES):
        held = (folder / f"{number}.lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held.close()
            continue
        held.seek(0)
        place = held.read().strip()
        if not place:
            place = secrets.token_hex(8)
            held.write(place)
            held.flush()
        return place, held
    raise StillhouseError(f"{PLACES} workers work in {folder.parent} already. End some, or choose another --home.")


def serve(setting: Setting, parent: int | None = None, started: Callable[[str], None] | None = None) -> None:
    """Be a worker until SIGTERM, SIGINT or the end of `parent`, a pipe from whoever started it; ends the process."""
    worker = Worker(setting, started=started or (lambda worker: None))
    code = 0

    def stop() -> None:
        worker.stop()
        late = threading.Timer(SECONDS_TO_STOP, os._exit, (0,))
        late.daemon = True
        late.start()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        if parent is not None:
            threading.Thread(target=_wait_for, args=(parent, loop, stop), daemon=True).start()
        await worker.run()

    try:
        asyncio.run(run())
    except StillhouseError as error:
        logging.getLogger("stillhouse.jobs").error("%s", error)
        code = error.exit_code
    except BaseException:
        logging.getLogger("stillhouse.jobs").exception("The worker failed")
        code = 1
    sys.stdout.flush()
    os._exit(code)


def _wait_for(parent: int, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """End with the process that started this one, however that ended: its end of the pipe closes."""
    while os.read(parent, 1024):
        pass
    loop.call_soon_threadsafe(stop)


if __name__ == "__main__":  # started by a gateway, which writes the setting and holds the pipe as long as it lives
    serve(Setting.read(sys.stdin.buffer.readline()), parent=sys.stdin.fileno())
