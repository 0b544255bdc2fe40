"""Durable: DBOS as workers use it: one queue for each workflow, and a record of the steps that are done.

The record lies in `dbos.sqlite` in the home folder, or beside everything else in PostgreSQL. DBOS is given no key of
its hosted service, no exporter and no server of its own, so it speaks to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, final

from dbos import DBOS, DBOSConfig

from stillhouse.storage.database import database_url

__all__ = ["Durable"]

VERSION = "1"
"""What DBOS calls the version of our workflows: a new one would leave what an older one began."""
NAME = "stillhouse"
WORK = "work"
"""The one workflow that DBOS knows; ours are its first argument."""


@final
class Durable:
    """The one DBOS of a process; its methods block."""

    def __init__(self, home: Path, database: str | None, worker: str) -> None:
        url = database_url(database, home)
        if url.get_backend_name() == "sqlite":
            system = f"sqlite:///{home.absolute() / 'dbos.sqlite'}"
        else:
            system = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._config: DBOSConfig = {
            "name": NAME,
            "system_database_url": system,
            "application_version": VERSION,
            "executor_id": worker,
            "enable_otlp": False,
            "log_level": "ERROR",
            "use_listen_notify": False,
        }

    def launch(self, work: Callable[[str, str], None], queues: Mapping[str, int], poll: float) -> None:
        """Take workflows out of queues, so many at once from each, and do `work(name, argument)` in a thread."""

        def workflow(name: str, argument: str) -> None:
            work(name, argument)

        DBOS(config=self._config)
        DBOS.workflow(name=WORK, max_recovery_attempts=None)(workflow)  # it may be resumed as often as need be
        DBOS.launch()
        for name, at_once in queues.items():
            DBOS.register_queue(name, worker_concurrency=at_once, polling_interval_sec=poll)

    def step(self, name: str, do: Callable[[], bool]) -> bool:
        """What a step of the workflow at hand returned, which is done unless it has been."""
        return DBOS.run_step({"name": name}, do)

    def put(self, order: str, name: str, argument: str) -> None:
        """A workflow into its queue, under the order's id: one that is there already, or done, stays as it is."""
        options: Any = {"workflow_name": WORK, "queue_name": name, "workflow_id": order, "app_version": VERSION}
        DBOS.enqueue_workflow_with_options(options, name, argument)

    def busy(self) -> set[str]:
        """The workers that have begun workflows and not finished them."""
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        return {status.executor_id for status in pending if status.executor_id}

    def known(self) -> set[tuple[str, str]]:
        """Name and argument of every workflow that waits in a queue or is under way."""
        found = DBOS.list_workflows(status=["PENDING", "ENQUEUED", "DELAYED"], load_output=False)
        inputs = [status.input["args"] for status in found if status.input]
        return {(str(args[0]), str(args[1])) for args in inputs if len(args) == 2}

    def take_over(self, workers: Collection[str]) -> None:
        """Put what workers have begun, who are dead, back into its queue; nothing happens twice by it."""
        DBOS._recover_pending_workflows(list(workers))  # pyright: ignore[reportPrivateUsage]

    def close(self) -> None:
        """Take nothing more out of the queues; what is under way stays unfinished in the record."""
        DBOS.destroy()
