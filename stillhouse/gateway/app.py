"""The gateway put together: students, a teacher behind them, and the doors through which they are asked."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import final

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stillhouse.chat import Chat
from stillhouse.errors import UsageError
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.faults import handlers
from stillhouse.gateway.metrics import Metrics, Tally
from stillhouse.gateway.routes.chat import ChatCompletions
from stillhouse.gateway.routes.health import Health
from stillhouse.gateway.routes.models import Models
from stillhouse.gateway.routes.stored_completions import StoredCompletions
from stillhouse.gateway.shelf import Shelf
from stillhouse.inference.student import Classifier, Student
from stillhouse.routing.cascade import Cascade
from stillhouse.teachers.api import TeacherApi
from stillhouse.wire.models import ModelCard

__all__ = ["create_app"]


def create_app(
    classifiers: Sequence[Classifier],
    teacher: TeacherApi | None = None,
    workers: int = 1,
    shelf: Shelf | None = None,
    gate: Gate | None = None,
) -> ASGIApp:
    """An ASGI app that serves classifiers by their manifests' names, with a teacher for what they leave.

    Each student answers up to `workers` batches at once. Calls that ask for it are kept on the shelf; without one,
    `store` is only passed on to the teacher. The gate asks for keys; without one, whoever calls is let in. Raises
    UsageError when two have one name.
    """
    gate = gate or Gate()
    metrics = Metrics()
    students: dict[str, Student] = {}
    for name, classifier in _by_name(classifiers).items():
        students[name] = Student(classifier, workers, partial(metrics.count_batch, name))
    chats: dict[str, Chat] = {
        name: Cascade(student, teacher) if teacher else student for name, student in students.items()
    }
    cards = {name: ModelCard(name, created=int(time.time())) for name in students}

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for student in students.values():
                stack.callback(student.close)
            if teacher:
                await stack.enter_async_context(teacher)
            if shelf:
                stack.push_async_callback(shelf.close)
            yield

    routes = [
        *ChatCompletions(chats, shelf).routes(gate),
        *(StoredCompletions(shelf).routes(gate) if shelf else ()),
        *Models(cards).routes(gate),
        *Health(list(students), metrics).routes(gate),
    ]
    return Door(Starlette(routes=routes, exception_handlers=handlers(), lifespan=lifespan), metrics)


@final
class Door:
    """What every request passes on its way in and out: it gets an id, is timed and counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 499  # what is counted when the client leaves before an answer
        tally = scope["tally"] = Tally()
        request_id = scope["request_id"] = f"req_{secrets.token_hex(12)}"

        async def send_stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                took = f"{(time.perf_counter() - started) * 1000:.0f}"
                message["headers"] += [
                    (b"x-request-id", request_id.encode()),
                    (b"openai-processing-ms", took.encode()),
                ]
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, send_stamped)
        finally:
            self._metrics.in_flight.dec()
            self._metrics.count(tally, status, time.perf_counter() - started)


def _by_name(classifiers: Sequence[Classifier]) -> dict[str, Classifier]:
    counts = Counter(classifier.manifest.name for classifier in classifiers)
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise UsageError(
            f"{count} of the bundles have the name {name!r}, and clients ask by name. "
            'Change "name" in the stillhouse.json of one of them, or serve them on two ports.'
        )
    return {classifier.manifest.name: classifier for classifier in classifiers}
