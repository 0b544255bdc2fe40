"""What a worker does for an eval run: it asks the gateway's models as a client of the run's project would."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from stillhouse.chat import Answer, Chat, ChatCall
from stillhouse.errors import TeacherUnavailable
from stillhouse.jobs.eval_runs import Pace, carry_out
from stillhouse.jobs.grader_means import grader_means
from stillhouse.recipes.server import read_server_file
from stillhouse.storage.records import Scope
from stillhouse.storage.store import Store
from stillhouse.teachers.api import Endpoint
from stillhouse.teachers.asking import Patience
from stillhouse.wire.errors import WireError
from stillhouse.wire.stored_completions import unkept

__all__ = ["Site", "as_client", "evaluate", "note_failure", "to_evaluate"]

PATIENCE = Patience(total=600.0, retries=4, longest_wait=30.0)
PAUSE = 1.0
"""Seconds between two attempts to reach a gateway that is away."""
LONGEST_ABSENCE = 3_600.0
"""Seconds after which it is not waited for any more."""
LIFETIME = 7 * 86_400
"""Seconds for which a run's key opens the gateway, should nobody be left to revoke it."""


class Site(Protocol):
    """Where a worker works, as far as runs need it."""

    @property
    def store(self) -> Store: ...

    @property
    def home(self) -> Path: ...

    @property
    def gateway(self) -> str | None: ...


async def evaluate(site: Site, run_id: str) -> None:
    """Bring a run to its end, or to where it was cancelled."""
    found = await site.store.eval_runs.find(run_id)
    if found is not None and not found[1].is_final:
        section = read_server_file(site.home).evals
        async with as_client(site, found[0], run_id) as chat:
            await carry_out(site.store, run_id, grader_means(chat, section), Pace(section.at_once))
    await site.store.keys.forget_all(_key_name(run_id))  # workers that were killed have left theirs


async def to_evaluate(store: Store) -> list[str]:
    """The runs that wait, or are under way."""
    return await store.eval_runs.unfinished()


async def note_failure(site: Site, run_id: str, error: Exception) -> None:
    """Tell clients that a run failed for a reason that is not theirs; the log says more."""
    await site.store.eval_runs.move(run_id, "failed", ("server_error", f"The run failed: {error}"))
    await site.store.keys.forget_all(_key_name(run_id))


@asynccontextmanager
async def as_client(site: Site, project: str, run_id: str) -> AsyncGenerator[Chat]:
    """Whom the gateway lets a project ask, by a key that is forgotten afterwards."""
    if site.gateway is None:
        yield _nobody
        return
    name = _key_name(run_id) + secrets.token_hex(4)
    key, secret = await site.store.keys.create(project, name, [Scope.INFER], int(time.time()) + LIFETIME, "worker")
    try:
        async with Endpoint(site.gateway, secret, PATIENCE) as endpoint:

            async def ask(call: ChatCall) -> Answer:
                return await _persist(endpoint, unkept(call.body))

            yield ask
    finally:
        await site.store.keys.forget(key.id)


def _key_name(run_id: str) -> str:
    """How the names of a run's keys begin."""
    return f"eval run {run_id} "


async def _persist(endpoint: Endpoint, body: bytes) -> Answer:
    """The gateway's answer, waited for while the gateway itself is away: that says nothing about a row."""
    waited = 0.0
    while True:
        try:
            return await endpoint.ask(body, stream=False)
        except TeacherUnavailable as error:
            lost = error.status is None and error.__cause__ is None  # neither an answer nor too slow a one
            if not lost or waited >= LONGEST_ABSENCE:
                raise
        await asyncio.sleep(PAUSE)
        waited += PAUSE


async def _nobody(call: ChatCall) -> Answer:
    words = "This worker knows no server whose models it could ask: start it with --gateway URL."
    raise WireError(words, "no_gateway", status=404)
