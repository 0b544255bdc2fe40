"""The gateway put together: who answers, what is kept, and the doors through which both are asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from stillhouse.gateway.auth import Gate
from stillhouse.gateway.door import Door
from stillhouse.gateway.faults import handlers
from stillhouse.gateway.house import House
from stillhouse.gateway.judges import Judges
from stillhouse.gateway.repeats import Repeats
from stillhouse.gateway.routes.chat import ChatCompletions
from stillhouse.gateway.routes.distillations import Distillations
from stillhouse.gateway.routes.eval_pages import EvalPages
from stillhouse.gateway.routes.eval_runs import EvalRuns
from stillhouse.gateway.routes.evals import Evals
from stillhouse.gateway.routes.feedback import Feedback
from stillhouse.gateway.routes.files import Files
from stillhouse.gateway.routes.fine_tuning import FineTuning
from stillhouse.gateway.routes.graders import Graders
from stillhouse.gateway.routes.health import Health
from stillhouse.gateway.routes.models import Models
from stillhouse.gateway.routes.openapi import OpenApi
from stillhouse.gateway.routes.output_items import OutputItems
from stillhouse.gateway.routes.reviews import Reviews
from stillhouse.gateway.routes.stored_completions import StoredCompletions
from stillhouse.gateway.routes.uploads import Uploads
from stillhouse.gateway.shelf import Shelf
from stillhouse.gateway.tuned import TunedModels
from stillhouse.jobs.bases import Bases

__all__ = ["create_app"]


def create_app(
    house: House,
    shelf: Shelf | None = None,
    gate: Gate | None = None,
    judges: Judges | None = None,
    wake: Callable[[], None] = lambda: None,
) -> ASGIApp:
    """An ASGI app through which everybody in a house is asked.

    Calls that ask for it are kept on the shelf; without one, `store` is only passed on to a teacher. The gate asks
    for keys; without one, whoever calls is let in. `judges` are what graders may use, by default the models of the
    house; `wake` is called when there is work for a worker.
    """
    gate = gate or Gate()
    gate.repeats = Repeats(shelf) if shelf else None
    tuned = TunedModels(shelf, house.metrics) if shelf else None
    if tuned:
        house.add_annex(tuned)
        house.enter(tuned)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(house.open())
            if shelf:
                stack.push_async_callback(shelf.close)  # first of all: what waits to be written is, however long
            yield  # the others take to close

    routes = [
        *ChatCompletions(house, shelf).routes(gate),
        *(StoredCompletions(shelf).routes(gate) if shelf else ()),
        *((*Feedback(shelf).routes(gate), *Reviews(shelf).routes(gate)) if shelf else ()),
        *((*Files(shelf).routes(gate), *Uploads(shelf).routes(gate)) if shelf else ()),
        *(_evaluation(shelf, judges or Judges(house), wake, gate) if shelf else ()),
        *(_tuning(shelf, wake, gate) if shelf else ()),
        *Models(house, tuned).routes(gate),
        *Health(house).routes(gate),
        *OpenApi(gate.declared).routes(gate),
    ]
    return Door(Starlette(routes=routes, exception_handlers=handlers(), lifespan=lifespan), house.metrics)


def _tuning(shelf: Shelf, wake: Callable[[], None], gate: Gate) -> list[Route]:
    """Everything about jobs that make models."""
    bases = Bases(shelf.home)
    return [*FineTuning(shelf, bases, wake).routes(gate), *Distillations(shelf, bases, wake).routes(gate)]


def _evaluation(shelf: Shelf, judges: Judges, wake: Callable[[], None], gate: Gate) -> list[Route]:
    """Everything about evals."""
    return [
        *Evals(shelf, judges).routes(gate),
        *EvalRuns(shelf, wake).routes(gate),
        *EvalPages(shelf).routes(gate),
        *OutputItems(shelf).routes(gate),
        *Graders(judges).routes(gate),
    ]
