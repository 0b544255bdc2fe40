"""Runs go from queued to their end and never back, and are ordered in the same breath in which they are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.storage.eval_records import RunCounts
from stillhouse.storage.eval_runs import WORKFLOW, EvalRuns, read_counts, write_counts
from stillhouse.storage.evals import Evals
from stillhouse.storage.records import Cut
from stillhouse.storage.work import Orders
from tests.storage.kept_evals import a_run, an_eval


@pytest.fixture
async def runs(database, writer) -> EvalRuns:
    await Evals(database, writer).add("p", an_eval(1))
    return EvalRuns(database, writer)


def ids(page) -> list[str]:
    return [row.id for row in page.rows]


async def test_a_run_is_kept_with_the_order_to_carry_it_out(runs, database, writer):
    assert await runs.add("p", a_run(1))
    assert await runs.get("p", "eval_0001", "evalrun_0001") == a_run(1)
    assert await runs.find("evalrun_0001") == ("p", a_run(1))
    orders = await Orders(database, writer).waiting()
    assert [(order.workflow, order.argument) for order in orders] == [(WORKFLOW, "evalrun_0001")]


@pytest.mark.parametrize(("project", "of"), [("q", "eval_0001"), ("p", "eval_0002")])
async def test_without_its_eval_there_is_neither(runs, database, writer, project, of):
    assert not await runs.add(project, a_run(1, of))
    assert await runs.find("evalrun_0001") is None
    assert await Orders(database, writer).waiting() == []


async def test_others_do_not_find_it(runs):
    await runs.add("p", a_run(1))
    assert await runs.get("q", "eval_0001", "evalrun_0001") is None
    assert await runs.get("p", "eval_0002", "evalrun_0001") is None
    assert not await runs.delete("q", "eval_0001", "evalrun_0001")


async def test_a_status_goes_on_and_never_back(runs):
    await runs.add("p", a_run(1))
    assert await runs.status("evalrun_0001") == "queued"
    assert await runs.move("evalrun_0001", "in_progress")
    assert await runs.move("evalrun_0001", "failed", ("code", "words"))
    for status in ("in_progress", "completed", "canceled"):
        assert not await runs.move("evalrun_0001", status)
    assert not await runs.move("evalrun_0009", "canceled")
    assert await runs.status("evalrun_0009") is None
    found = await runs.get("p", "eval_0001", "evalrun_0001")
    assert found == replace(a_run(1), status="failed", error=("code", "words"))
    assert found.is_final
    assert not a_run(1).is_final


async def test_pages_are_of_one_eval_and_one_status(runs, database, writer):
    await Evals(database, writer).add("p", an_eval(2))
    for number in (1, 2, 3, 4):
        await runs.add("p", a_run(number))
    await runs.add("p", a_run(5, "eval_0002"))
    await runs.move("evalrun_0002", "canceled")
    assert ids(await runs.page("p", "eval_0001", Cut(ascending=True))) == [f"evalrun_000{n}" for n in (1, 2, 3, 4)]
    assert ids(await runs.page("p", "eval_0001", Cut(), "canceled")) == ["evalrun_0002"]
    assert await runs.delete("p", "eval_0001", "evalrun_0003")
    assert ids(await runs.page("p", "eval_0001", Cut(after="evalrun_0003", ascending=True))) == ["evalrun_0004"]
    assert await runs.page("p", "eval_0001", Cut(after="evalrun_0009")) is None
    assert await runs.page("q", "eval_0001", Cut(after="evalrun_0001")) is None


async def test_what_a_run_reads_is_chosen_once(runs):
    await runs.add("p", a_run(1))
    assert await runs.chosen("evalrun_0001") is None
    assert await runs.choose("evalrun_0001", ["a", "b"]) == ["a", "b"]
    assert await runs.choose("evalrun_0001", ["c"]) == ["a", "b"]
    assert await runs.chosen("evalrun_0001") == ["a", "b"]


def test_counts_come_back_as_they_were():
    counts = RunCounts((1, 2, 3), {"c": (1, 0, 0)}, {"m": (1, 2, 3, 4)})
    assert read_counts(write_counts(counts)) == counts
    assert read_counts(write_counts(RunCounts())) == RunCounts()
