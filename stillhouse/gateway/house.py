"""House: who answers at a gateway, by the names that clients ask for, and what is opened and closed with it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, final

from stillhouse.chat import Chat
from stillhouse.errors import UsageError
from stillhouse.gateway.metrics import Metrics, Price
from stillhouse.inference.student import Classifier, Student
from stillhouse.routing.cascade import Cascade
from stillhouse.wire.errors import unknown_model
from stillhouse.wire.models import ModelCard

__all__ = ["Annex", "Answerer", "House"]


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who answers the calls for one name."""

    chat: Chat
    card: ModelCard
    counted: str = ""
    """The name in the metrics, of which there must be few; empty: the card's."""
    is_far: bool = False
    """Whether an answer may take so long that it is worth to notice when the client leaves meanwhile."""
    harvest: int = 0
    """How many alternatives to each token are asked for along with calls that are kept; 0: no log-probabilities are."""
    price: Price | None = None


class Annex(Protocol):
    """Where more models come from while the server runs, such as fine-tuned ones; asked when no other name fits."""

    async def find(self, project: str, name: str) -> Answerer | None:
        """Who answers a project's calls for a name."""
        ...

    async def cards(self, project: str) -> Sequence[ModelCard]:
        """The models that a project is shown."""
        ...


@final
class House:
    """Students, teachers behind APIs and local models, each under a name of its own."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self._answerers: dict[str, Answerer] = {}
        self._annexes: list[Annex] = []
        self._to_open: list[AbstractAsyncContextManager[object]] = []
        self._to_close: list[Callable[[], object]] = []

    @classmethod
    def of(cls, classifiers: Iterable[Classifier], workers: int = 1) -> House:
        """A house with students alone."""
        house = cls()
        for classifier in classifiers:
            house.add_student(classifier, workers)
        return house

    def add(self, answerer: Answerer) -> None:
        """Serve somebody by the name on the card; raises UsageError when the name is taken."""
        name = answerer.card.id
        if name in self._answerers:
            raise UsageError(
                f"Two models have the name {name!r}, and clients ask by name. Change one: the names of teachers' and "
                'local models stand in stillhouse.toml, a bundle\'s is the "name" in its stillhouse.json.'
            )
        self._answerers[name] = answerer

    def add_student(self, classifier: Classifier, workers: int = 1, teacher: Answerer | None = None) -> None:
        """Serve a classifier by its manifest's name, up to `workers` batches at once; a teacher gets what it leaves."""
        name = classifier.manifest.name
        student = Student(classifier, workers, partial(self.metrics.count_batch, name))
        self._to_close.append(student.close)
        card = ModelCard(name, created=int(time.time()))
        if teacher is None:
            self.add(Answerer(student, card))
            return
        chat = Cascade(student, teacher.chat)
        self.add(Answerer(chat, card, is_far=True, harvest=teacher.harvest, price=teacher.price))

    def add_annex(self, annex: Annex) -> None:
        """Ask an annex for names that nobody else has."""
        self._annexes.append(annex)

    def enter(self, resource: AbstractAsyncContextManager[object]) -> None:
        """Have something open while the gateway runs, such as connections to a teacher."""
        self._to_open.append(resource)

    def on_close(self, close: Callable[[], object]) -> None:
        """Call something when the gateway ends."""
        self._to_close.append(close)

    @property
    def names(self) -> list[str]:
        """Who is there all the time, in the order of adding."""
        return list(self._answerers)

    def here(self, name: str) -> Answerer | None:
        """Who has a name all the time."""
        return self._answerers.get(name)

    async def find(self, project: str, name: str) -> Answerer:
        """Who answers a project's calls for a name; raises WireError when nobody does."""
        found = self.here(name)
        if found:
            return found
        for annex in self._annexes:
            found = await annex.find(project, name)
            if found:
                return found
        raise unknown_model(name)

    async def cards(self, project: str) -> list[ModelCard]:
        """All models that a project is shown."""
        found = {name: answerer.card for name, answerer in self._answerers.items()}
        for annex in self._annexes:
            for card in await annex.cards(project):
                found.setdefault(card.id, card)
        return list(found.values())

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Everything that was to be opened is, until this is left."""
        async with AsyncExitStack() as stack:
            for close in self._to_close:
                stack.callback(close)
            for resource in self._to_open:
                await stack.enter_async_context(resource)
            yield
