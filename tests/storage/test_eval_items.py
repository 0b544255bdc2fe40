"""Items are kept and counted once, in one commit, and only while their run goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from stillhouse.storage.database import Database, database_url
from stillhouse.storage.eval_items import EvalItems
from stillhouse.storage.eval_records import RunCounts
from stillhouse.storage.eval_runs import EvalRuns
from stillhouse.storage.evals import Evals
from stillhouse.storage.records import Cut
from stillhouse.storage.writer import Writer
from tests.storage.kept_evals import a_run, an_eval, done

RUN = "evalrun_0001"


@pytest.fixture
async def runs(database, writer) -> EvalRuns:
    await Evals(database, writer).add("p", an_eval(1))
    runs = EvalRuns(database, writer)
    await runs.add("p", a_run(1))
    await runs.move(RUN, "in_progress")
    return runs


@pytest.fixture
def items(runs, database, writer) -> EvalItems:
    return EvalItems(database, writer)


async def counts(runs: EvalRuns) -> RunCounts:
    found = await runs.find(RUN)
    assert found is not None
    return found[1].counts


async def test_an_item_that_comes_again_is_neither_kept_nor_counted_again(items, runs):
    assert await items.add(RUN, [done(0), done(2, "fail"), done(2, "pass")])
    assert await items.add(RUN, [done(2, "error"), done(1, "error")])
    assert await items.done(RUN) == {0, 1, 2}
    assert await counts(runs) == RunCounts((1, 1, 1), {"c": (1, 1, 1)}, {"m": (3, 30, 6, 0)})
    assert (await items.get(RUN, "outputitem_0002")).status == "fail"
    assert await items.get(RUN, "outputitem_0009") is None


async def test_two_programs_count_every_row_once(items, runs, url, tmp_path):
    other = await Database.open(database_url(url, tmp_path))
    writer = Writer(other)
    second = EvalItems(other, writer)
    try:
        rows = [done(row) for row in range(60)]
        await asyncio.gather(*[each.add(RUN, [row]) for row in rows for each in (items, second)])
        assert (await counts(runs)).items == (60, 0, 0)
        assert len(await items.done(RUN)) == 60
    finally:
        await writer.close()
        await other.close()


@pytest.mark.parametrize("status", ["canceled", "completed", "failed"])
async def test_a_run_at_its_end_takes_no_more(items, runs, status):
    assert await items.add(RUN, [done(0)])
    await runs.move(RUN, status)
    assert not await items.add(RUN, [done(1)])
    assert not await items.add("evalrun_0009", [done(1)])
    assert await items.done(RUN) == {0}


async def test_a_page_of_large_items_ends_before_it_fills_the_memory(items):
    large = [replace(each, item=replace(each.item, content=b"x" * (12 * 2**20))) for each in map(done, range(4))]
    assert await items.add(RUN, large)
    page = await items.page(RUN, Cut(limit=3, ascending=True))
    assert ([row.row for row in page.rows], page.has_more) == ([0, 1], True)
    rest = await items.page(RUN, Cut(limit=3, after=page.rows[-1].id, ascending=True))
    assert ([row.row for row in rest.rows], rest.has_more) == ([2, 3], False)


async def test_pages_go_by_row_and_by_status(items):
    await items.add(RUN, [done(row, ("pass", "fail", "error")[row % 3]) for row in (4, 0, 3, 1, 2)])
    page = await items.page(RUN, Cut(limit=2, ascending=True))
    assert ([row.row for row in page.rows], page.has_more) == ([0, 1], True)
    rest = await items.page(RUN, Cut(limit=9, after="outputitem_0001", ascending=True))
    assert ([row.row for row in rest.rows], rest.has_more) == ([2, 3, 4], False)
    assert [row.row for row in (await items.page(RUN, Cut(), "pass")).rows] == [3, 0]
    assert await items.page(RUN, Cut(after="outputitem_0009")) is None
    assert (await items.page("evalrun_0009", Cut())).rows == []
