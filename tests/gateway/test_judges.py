"""Graders ask the models that the house has for their project, and nobody else."""

from __future__ import annotations

import pytest

from stillhouse.chat import Relayed
from stillhouse.gateway.house import Answerer, House
from stillhouse.gateway.judges import Judges
from stillhouse.wire.chat import read_call
from stillhouse.wire.errors import WireError
from stillhouse.wire.models import ModelCard
from tests.evaluation.graders.judges import Judge


class Tuned:
    """A model that one project alone has."""

    async def find(self, project, name):
        return Answerer(Judge("tuned"), ModelCard(name, 1)) if (project, name) == ("p", "ft:x") else None

    async def cards(self, project):
        return []


async def test_a_project_asks_its_own_models():
    house = House()
    house.add(Answerer(Judge("of all"), ModelCard("big", 1)))
    house.add_annex(Tuned())
    judges = Judges(house)
    mine, theirs = judges.means("p").chat, judges.means("q").chat

    def call(model: str):
        return read_call(b'{"model":"%s","messages":[{"role":"user","content":"x"}]}' % model.encode())

    for chat in (mine, theirs):
        assert isinstance(await chat(call("big")), Relayed)
    assert b"tuned" in (await mine(call("ft:x"))).content
    with pytest.raises(WireError, match="does not exist"):
        await theirs(call("ft:x"))
    assert (judges.means("p").embed, judges.means("p").sandbox) == (None, None)
