"""TunedModels: the models that jobs made, and folders that they may begin from, opened when first asked for."""

from __future__ import annotations

import asyncio
import shutil
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, final

from stillhouse.chat import Chat
from stillhouse.gateway.house import Answerer
from stillhouse.gateway.metrics import Metrics
from stillhouse.gateway.shelf import Shelf
from stillhouse.jobs.bases import folders
from stillhouse.storage.tuning_records import ModelKind, TunedModel
from stillhouse.wire.errors import WireError
from stillhouse.wire.models import ModelCard

__all__ = ["OPEN", "TunedModels"]

OPEN = 4
"""Models that are in memory at once; the one that was asked for longest ago makes room."""
GRACE = 600.0
"""Seconds for which a model that made room may finish its answers."""
OWNER = "local"
PREFIX = "ft:"


@dataclass(frozen=True, slots=True)
class Opened:
    """A model in memory."""

    chat: Chat
    close: Callable[[], object]


@final
class TunedModels:
    """An annex of a house: every project's tuned models, and for all projects the folders under `models` at home."""

    def __init__(self, shelf: Shelf, metrics: Metrics, most: int = OPEN) -> None:
        self._shelf, self._metrics, self._most = shelf, metrics, most
        self._opened: OrderedDict[str, asyncio.Task[Opened]] = OrderedDict()
        self._leaving: dict[asyncio.TimerHandle, Callable[[], object]] = {}

    async def __aenter__(self) -> TunedModels:
        return self

    async def __aexit__(self, *_: object) -> None:
        for timer, close in self._leaving.items():
            timer.cancel()
            await asyncio.to_thread(close)
        for task in self._opened.values():
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):  # one that could not be opened is closed
                await asyncio.to_thread((await task).close)
        self._opened.clear()
        self._leaving.clear()

    async def find(self, project: str, name: str) -> Answerer | None:
        """Who answers for a project's tuned model or for a folder, in memory after the first call."""
        model = await self._model(project, name) or self._folder(name)
        if model is None:
            return None
        if not name.startswith(PREFIX):
            return Answerer(partial(self._ask, model), ModelCard(name, model.created), is_far=True)
        card = ModelCard(model.name, model.created, OWNER)
        return Answerer(partial(self._ask, model), card, counted="ft:*", is_far=True)

    async def cards(self, project: str) -> Sequence[ModelCard]:
        """The folders, and the tuned models of a project, checkpoints among them."""
        found = [ModelCard(name, _made(path)) for name, path in folders(self._shelf.home).items()]
        if self._shelf.is_there:
            store = await self._shelf.open()
            found += [ModelCard(model.name, model.created, OWNER) for model in await store.tuned.models(project)]
        return found

    async def delete(self, project: str, name: str) -> bool:
        """Forget a model and what lies in its folder; False where the project has none such.

        Raises WireError where a job that is not finished begins from it.
        """
        if await self._model(project, name) is None:
            return False
        store = await self._shelf.open()
        job = await store.jobs.beginning_from(project, name)
        if job is not None:
            raise WireError(f"The model '{name}' is in use by the job {job.id}.", "model_in_use", "model")
        gone = await store.tuned.delete(project, name)
        if gone is None:
            return False
        self._let_go(name)
        await asyncio.to_thread(shutil.rmtree, self._shelf.home / gone.folder, True)
        return True

    async def _model(self, project: str, name: str) -> TunedModel | None:
        if not name.startswith(PREFIX) or not self._shelf.is_there:
            return None
        store = await self._shelf.open()
        return await store.tuned.model(project, name)

    def _folder(self, name: str) -> TunedModel | None:
        path = folders(self._shelf.home).get(name)
        if path is None:
            return None
        return TunedModel(name, "", _made(path), "", ModelKind.LANGUAGE, str(path.absolute()))

    async def _ask(self, model: TunedModel, call: Any) -> Any:
        """One call's answer, once the model is in memory; who comes meanwhile waits for the same."""
        task = self._opened.get(model.name)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._opened[model.name] = asyncio.create_task(self._open(model))
        self._opened.move_to_end(model.name)
        while len(self._opened) > self._most:
            self._let_go(next(iter(self._opened)))
        opened = await asyncio.shield(task)
        return await opened.chat(call)

    async def _open(self, model: TunedModel) -> Opened:
        folder = self._shelf.home / model.folder
        return await asyncio.to_thread(
            self._open_bundle if model.kind is ModelKind.BUNDLE else _open_writer, model.name, folder
        )

    def _open_bundle(self, name: str, folder: Any) -> Opened:
        from stillhouse.inference.onnx_classifier import OnnxClassifier
        from stillhouse.inference.student import Student

        student = Student(OnnxClassifier.open(folder), 1, partial(self._metrics.count_batch, "ft:*"))
        return Opened(student, student.close)

    def _let_go(self, name: str) -> None:
        """Close a model once its answers have had time to end."""
        task = self._opened.pop(name, None)
        if task is None:
            return
        if not task.done():
            task.add_done_callback(self._close_later)
        else:
            self._close_later(task)

    def _close_later(self, task: asyncio.Task[Opened]) -> None:
        if task.cancelled() or task.exception():
            return
        close = task.result().close
        loop = asyncio.get_running_loop()

        def end() -> None:
            self._leaving.pop(timer, None)
            loop.run_in_executor(None, close)

        timer = loop.call_later(GRACE, end)
        self._leaving[timer] = close


def _made(path: Path) -> int:
    """When a folder was made, or changed since."""
    return int(path.stat().st_mtime)


def _open_writer(name: str, folder: Any) -> Opened:
    module: Any = import_module("stillhouse.inference.local_chat")  # it knows no torch until it opens
    chat = module.LocalChat.open(str(folder), name=name)
    return Opened(chat, chat.close)
