"""Furnish: a house with everybody that `stillhouse.toml` names: teachers behind APIs, local models, and students."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, final

from stillhouse import settings
from stillhouse.chat import Chat
from stillhouse.errors import UsageError
from stillhouse.gateway.house import Answerer, House
from stillhouse.gateway.metrics import Price
from stillhouse.inference.student import Classifier
from stillhouse.recipes.server import ServerFile, TeacherSection
from stillhouse.teachers.api import Endpoint, TeacherApi, TeacherModel
from stillhouse.teachers.asking import Patience
from stillhouse.wire.models import ModelCard

__all__ = ["furnish"]

LISTED = 300.0
UNLISTED = 30.0
"""Seconds for which a teacher's list of models is believed, and after which one who told none is asked again."""


def furnish(
    file: ServerFile, classifiers: Iterable[Classifier], workers: int = 1, teacher: TeacherApi | None = None
) -> House:
    """A house with all that a file names, and students; what these leave goes to `teacher`, else to the file's.

    Raises UsageError when a key is not in the environment, or a name is missing or given twice.
    """
    house = House()
    open_teachers: dict[str, AnyModel] = {}
    for name, section in file.teachers.items():
        endpoint = _endpoint(section)
        house.enter(endpoint)
        for alias, real in section.models.items():
            house.add(_answerer(TeacherModel(endpoint, real), alias, name, section))
        if not section.models:
            open_teachers[name] = AnyModel(name, section, endpoint)
            house.add_annex(open_teachers[name])
    for name, place in file.models.items():
        house.add(_local(house, name, place))
    if teacher:
        house.enter(teacher)
        helper = Answerer(teacher, ModelCard("", 0))
    else:
        helper = _for_students(file, house, open_teachers)
    for classifier in classifiers:
        house.add_student(classifier, workers, helper)
    return house


@final
class AnyModel:
    """An annex: every model of a teacher, asked for as TEACHER/MODEL."""

    def __init__(self, name: str, section: TeacherSection, endpoint: Endpoint) -> None:
        self._name, self._section, self._endpoint = name, section, endpoint
        self._created = int(time.time())
        self._cards: Sequence[ModelCard] = ()
        self._until = 0.0

    async def find(self, project: str, name: str) -> Answerer | None:
        """Whoever has the teacher's name in front; whether there is such a model, only the teacher knows."""
        return self.called(name)

    async def cards(self, project: str) -> Sequence[ModelCard]:
        """Those that the teacher lists, which it is asked for every few minutes at most."""
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + LISTED
            names = await self._endpoint.models()
            self._until = time.monotonic() + (LISTED if names else UNLISTED)
            self._cards = [ModelCard(f"{self._name}/{name}", self._created, self._name) for name in names]
        return self._cards

    def called(self, name: str) -> Answerer | None:
        """Who answers for TEACHER/MODEL."""
        teacher, _, model = name.partition("/")
        if teacher != self._name or not model:
            return None
        return _answerer(TeacherModel(self._endpoint, model), name, teacher, self._section, f"{teacher}/*")


def _endpoint(section: TeacherSection) -> Endpoint:
    key = settings.secret(section.key_env) if section.key_env else None
    patience = Patience(total=section.timeout, retries=section.retries)
    return Endpoint(section.base_url, key, patience, section.connections)


def _answerer(chat: Chat, name: str, owner: str, section: TeacherSection, counted: str = "") -> Answerer:
    price = Price(section.price_in, section.price_out) if section.price_in or section.price_out else None
    card = ModelCard(name, int(time.time()), owner)
    return Answerer(chat, card, counted, is_far=True, harvest=section.alternatives, price=price)


def _local(house: House, name: str, place: str) -> Answerer:
    """A model that runs here; what it needs is imported only now."""
    module: Any = import_module("stillhouse.inference.local_chat")
    chat = module.LocalChat.open(place, name=name, seen=partial(house.metrics.count_batch, name))
    house.on_close(chat.close)
    return Answerer(chat, ModelCard(name, int(time.time())), is_far=True)


def _for_students(file: ServerFile, house: House, open_teachers: Mapping[str, AnyModel]) -> Answerer | None:
    """Who answers what students leave, by the name in the file."""
    if file.teacher is None:
        return None
    annex = open_teachers.get(file.teacher.partition("/")[0])
    found = house.here(file.teacher) or (annex.called(file.teacher) if annex else None)
    if found is None:
        known = [*house.names, *(f"{name}/..." for name in open_teachers)]
        near = difflib.get_close_matches(file.teacher, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known) or 'none'}."
        raise UsageError(
            f"teacher = {file.teacher!r} in stillhouse.toml is no model of a teacher and no local one. {hint}"
        )
    return found
