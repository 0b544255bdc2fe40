"""Tuned: models and checkpoints, by project and by job."""

from __future__ import annotations

import pytest

from stillhouse.storage.records import Cut
from stillhouse.storage.tuned import Tuned, add_model, keep_checkpoint
from tests.storage.tuning import checkpoint, model


@pytest.fixture
def tuned(database, writer) -> Tuned:
    return Tuned(database, writer)


async def keep(writer, *made) -> None:
    async def change(connection) -> None:
        for one, of_it in made:
            await keep_checkpoint(connection, one, of_it)

    await writer.change(change)


async def test_a_model_belongs_to_its_project_and_is_kept_once(tuned, writer):
    async def change(connection) -> None:
        await add_model(connection, model("ft:a"))
        await add_model(connection, model("ft:a", "q"))
        await add_model(connection, model("ft:b", "q"))

    await writer.change(change)
    assert await tuned.model("p", "ft:a") == model("ft:a")
    assert await tuned.model("q", "ft:a") is None
    assert [each.name for each in await tuned.models("q")] == ["ft:b"]
    assert await tuned.delete("q", "ft:a") is None
    assert await tuned.delete("p", "ft:a") == model("ft:a")
    assert await tuned.models("p") == []


async def test_names_that_no_database_holds_are_there_in_none(tuned):
    assert await tuned.model("p", "ft:a\0") is None
    assert await tuned.delete("p", "ft:a\0") is None


async def test_the_last_three_checkpoints_stay_and_older_ones_go_with_their_models(tuned, writer):
    await keep(writer, *[(checkpoint("j", step), model(f"ft:small:{step}")) for step in (1, 2)])
    await keep(writer, *[(checkpoint("j", step), model(f"ft:small:{step}")) for step in (2, 3, 4)])
    page = await tuned.checkpoints("j", Cut())
    assert [each.step for each in page.rows] == [4, 3, 2]
    assert [each.name for each in await tuned.models("p")] == ["ft:small:2", "ft:small:3", "ft:small:4"]


async def test_checkpoints_page_newest_first(tuned, writer):
    await keep(writer, *[(checkpoint("j", step), None) for step in (1, 2, 3)])
    first = await tuned.checkpoints("j", Cut(2))
    assert ([each.step for each in first.rows], first.has_more) == ([3, 2], True)
    rest = await tuned.checkpoints("j", Cut(2, first.rows[-1].id))
    assert ([each.step for each in rest.rows], rest.has_more) == ([1], False)
    assert await tuned.checkpoints("j", Cut(2, "ftckpt_none")) is None
    assert await tuned.models("p") == []
