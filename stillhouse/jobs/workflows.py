"""Workflows: what a worker can do, by name, as steps that survive a kill.

A workflow is begun by an order, written in the same transaction as what it is about (`storage.work.place_order`, or
`enqueue` for one alone), by whoever has a Store: no DBOS is imported there. Workers take orders within half a second.

To add one: write its steps as `async def step(shop: Shop, argument: str) -> None` in a module of this folder, and name
them in `WORKFLOWS`. All steps run in the worker's event loop, to which `shop.store` belongs, one after the other. A
step that has returned is never run again; one that was interrupted is run again from its beginning, by this worker or
by another, so it must go on from what it kept: count done rows in the database, not in memory. Compute-heavy work goes
into a process of its own or `asyncio.to_thread`. To cancel is to change the status in the database: a step looks at it
now and then and returns. A step that raises ends its workflow after `broken`, which is told the error and notes it
where clients see it; StorageError is no such end: the step is tried again once the database may be back. When the
worker ends, steps are cancelled (asyncio.CancelledError), and must let that through.

To ask models as a client of one project would, ask `shop.gateway` with a key of that project: `shop.store.keys.create`
with an expiry, revoked when done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stillhouse.jobs import evaluate, examine, fine_tune
from stillhouse.storage.eval_runs import WORKFLOW
from stillhouse.storage.jobs import LEARN, VALIDATE
from stillhouse.storage.store import Store

__all__ = ["WORKFLOWS", "Shop", "Step", "Workflow", "enqueue"]


@dataclass(frozen=True, slots=True)
class Shop:
    """What the steps of a worker have at hand."""

    store: Store
    home: Path
    worker: str
    """The worker's id, another for each process."""
    gateway: str | None = None
    """The base URL of the gateway beside it, such as `http://127.0.0.1:8000/v1`; None where there is none."""
    checkpoint_every: float = 10.0
    """Seconds of training that a kill may cost."""


Step = Callable[[Shop, str], Awaitable[None]]
Broken = Callable[[Shop, str, Exception], Awaitable[None]]
Unfinished = Callable[[Store], Awaitable[list[str]]]


async def nothing_unfinished(store: Store) -> list[str]:
    """For workflows that nobody orders anew."""
    return []


@dataclass(frozen=True, slots=True)
class Workflow:
    """Steps one after the other, what is told of an error in them, and how many run in one worker at once.

    `unfinished` tells the arguments of what the database holds to be waiting or under way: a worker that starts orders
    anew what no queue knows, as after a backup was restored.
    """

    steps: tuple[Step, ...]
    broken: Broken
    at_once: int = 1
    unfinished: Unfinished = nothing_unfinished


WORKFLOWS: Mapping[str, Workflow] = {
    WORKFLOW: Workflow((evaluate.evaluate,), evaluate.note_failure, 4, evaluate.to_evaluate),
    VALIDATE: Workflow((fine_tune.validate,), fine_tune.note_failure, 4, fine_tune.to_validate),
    LEARN: Workflow((fine_tune.learn, examine.examine), fine_tune.note_failure, 1, fine_tune.to_learn),
}
"""Every workflow by the name that orders have."""


async def enqueue(store: Store, name: str, argument: str) -> None:
    """Order a workflow, to be begun as soon as a worker is free."""
    await store.orders.place(name, argument)
