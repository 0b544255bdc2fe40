"""A house: everybody under one name, more of them in annexes, and all that was opened closed again."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from stillhouse.chat import ChatCall, Completion
from stillhouse.errors import UsageError
from stillhouse.gateway.house import Answerer, House
from stillhouse.wire.errors import WireError
from stillhouse.wire.models import ModelCard
from tests.gateway.serving import LABELS, Keywords


async def nobody(call: ChatCall) -> Completion:
    raise NotImplementedError


def answerer(name: str) -> Answerer:
    return Answerer(nobody, ModelCard(name, created=1, owned_by="me"))


class Tuned:
    """Models of one project."""

    async def find(self, project: str, name: str) -> Answerer | None:
        return answerer(name) if (project, name) == ("p", "ft:a") else None

    async def cards(self, project: str) -> list[ModelCard]:
        return [answerer("ft:a").card, answerer("plain").card] if project == "p" else []


async def test_each_is_found_by_its_name_and_nobody_by_another():
    house = House.of([Keywords(), Keywords(LABELS)])
    house.add(answerer("mine"))
    assert house.names == ["desk/triage", "plain", "mine"]
    assert (await house.find("default", "mine")).card.owned_by == "me"
    with pytest.raises(WireError) as caught:
        await house.find("default", "yours")
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_a_name_is_given_once():
    house = House.of([Keywords(LABELS)])
    with pytest.raises(UsageError, match="'plain'"):
        house.add(answerer("plain"))


async def test_an_annex_is_asked_for_other_names_by_project():
    house = House.of([Keywords(LABELS)])
    house.add_annex(Tuned())
    assert (await house.find("p", "ft:a")).card.id == "ft:a"
    with pytest.raises(WireError):
        await house.find("q", "ft:a")
    assert [(card.id, card.owned_by) for card in await house.cards("p")] == [("plain", "stillhouse"), ("ft:a", "me")]
    assert [card.id for card in await house.cards("q")] == ["plain"]


async def test_what_was_opened_is_closed():
    seen = []

    @asynccontextmanager
    async def connection():
        seen.append("open")
        yield
        seen.append("shut")

    house = House()
    house.enter(connection())
    house.on_close(lambda: seen.append("closed"))
    async with house.open():
        assert seen == ["open"]
    assert seen == ["open", "shut", "closed"]
