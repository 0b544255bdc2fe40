"""Evals are kept by project, listed in either order, and take their runs with them."""

from __future__ import annotations

import time

import pytest

from stillhouse.storage.eval_items import EvalItems
from stillhouse.storage.eval_runs import EvalRuns
from stillhouse.storage.evals import Evals
from stillhouse.storage.records import Cut
from tests.storage.kept_evals import a_run, an_eval, done


@pytest.fixture
def evals(database, writer) -> Evals:
    return Evals(database, writer)


def ids(page) -> list[str]:
    return [row.id for row in page.rows]


async def test_what_is_added_is_found_in_its_project_alone(evals):
    await evals.add("p", an_eval(1))
    assert await evals.get("p", "eval_0001") == an_eval(1)
    assert await evals.get("q", "eval_0001") is None
    assert await evals.page("q", Cut()) is not None
    assert ids(await evals.page("q", Cut())) == []


async def test_pages_go_by_the_second_and_the_id(evals):
    for number in (3, 1, 2, 4):
        await evals.add("p", an_eval(number, created=min(number, 3)))
    page = await evals.page("p", Cut(limit=3, ascending=True))
    assert (ids(page), page.has_more) == (["eval_0001", "eval_0002", "eval_0003"], True)
    rest = await evals.page("p", Cut(limit=3, after="eval_0003", ascending=True))
    assert (ids(rest), rest.has_more) == (["eval_0004"], False)
    assert ids(await evals.page("p", Cut(after="eval_0003"))) == ["eval_0002", "eval_0001"]
    assert await evals.page("p", Cut(after="eval_0009")) is None


async def test_a_change_replaces_what_it_names_and_moves_it_up(evals):
    await evals.add("p", an_eval(1))
    await evals.add("p", an_eval(2))
    changed = await evals.change("p", "eval_0001", "new", None)
    assert changed is not None
    assert (changed.name, changed.metadata) == ("new", {"n": "1"})
    assert changed.updated == pytest.approx(time.time(), abs=5)
    assert (await evals.change("p", "eval_0001", None, {})).metadata == {}
    assert ids(await evals.page("p", Cut(ascending=True), by_update=True)) == ["eval_0002", "eval_0001"]
    assert await evals.change("q", "eval_0001", "x", None) is None


async def test_a_deleted_eval_takes_its_runs_and_items_and_leaves_its_place(evals, database, writer):
    runs, items = EvalRuns(database, writer), EvalItems(database, writer)
    for number in (1, 2, 3):
        await evals.add("p", an_eval(number))
    for number, of in ((1, "eval_0002"), (2, "eval_0003")):
        assert await runs.add("p", a_run(number, of))
        assert await runs.move(f"evalrun_{number:04}", "in_progress")
        assert await items.add(f"evalrun_{number:04}", [done(0)])
    assert not await evals.delete("q", "eval_0002")
    assert await evals.delete("p", "eval_0002")
    assert not await evals.delete("p", "eval_0002")
    assert await runs.get("p", "eval_0002", "evalrun_0001") is None
    assert await items.done("evalrun_0001") == set()
    assert await items.done("evalrun_0002") == {0}
    assert ids(await evals.page("p", Cut(after="eval_0002", ascending=True))) == ["eval_0003"]
