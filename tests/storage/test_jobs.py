"""Jobs: kept, found, paged, and moved from state to state all or nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from stillhouse.storage.jobs import LEARN, VALIDATE, Jobs, Made
from stillhouse.storage.records import Cut
from stillhouse.storage.tuned import Tuned
from stillhouse.storage.tuning_records import NewEvent, Status
from stillhouse.storage.work import Orders
from tests.storage.tuning import checkpoint, job, model


@pytest.fixture
def jobs(database, writer) -> Jobs:
    return Jobs(database, writer)


@pytest.fixture
def orders(database, writer) -> Orders:
    return Orders(database, writer)


def to(status: Status):
    return lambda each: replace(each, status=status)


async def test_a_job_comes_back_as_it_was_kept_and_only_to_its_project(jobs, orders):
    kept = job(settled=b'{"n_epochs":1}', tokens=5, ends=7, error=b"{}", model="ft:x", owner="w")
    await jobs.create(kept, [NewEvent("created", "Created")])
    assert await jobs.get("p", kept.id) == kept
    assert await jobs.get("q", kept.id) is None
    assert await jobs.find("ftjob-none") is None
    assert [(each.workflow, each.argument) for each in await orders.waiting()] == [(VALIDATE, kept.id)]


async def test_pages_go_newest_first_and_metadata_is_looked_at(jobs):
    kept = [job(created=number, metadata={"n": str(number % 3)}) for number in range(10)]
    for each in kept:
        await jobs.create(each)
    await jobs.create(job("q", created=99))
    first = await jobs.page("p", Cut(4))
    assert [each.created for each in first.rows] == [9, 8, 7, 6]
    assert first.has_more
    rest = await jobs.page("p", Cut(10, first.rows[-1].id))
    assert [each.created for each in rest.rows] == [5, 4, 3, 2, 1, 0]
    assert not rest.has_more
    some = await jobs.page("p", Cut(2), {"n": "0"})
    assert [each.created for each in some.rows] == [9, 6]
    assert some.has_more
    last = await jobs.page("p", Cut(2, some.rows[-1].id), {"n": "0"})
    assert ([each.created for each in last.rows], last.has_more) == ([3, 0], False)
    assert await jobs.page("p", Cut(2, "ftjob-none")) is None


async def test_a_job_moves_only_from_the_states_that_allow_it_and_for_its_owner(jobs):
    kept = job(status=Status.RUNNING, owner="w")
    await jobs.create(kept)
    event = NewEvent("x", "x")
    assert await jobs.move(kept.id, [Status.QUEUED], to(Status.FAILED), [event]) is None
    assert await jobs.move(kept.id, [Status.RUNNING], to(Status.FAILED), [event], owner="v") is None
    assert (await jobs.events(kept.id, Cut())).rows == []
    moved = await jobs.move(kept.id, [Status.RUNNING], to(Status.SUCCEEDED), [event], owner="w")
    assert moved == await jobs.find(kept.id)
    assert moved.status is Status.SUCCEEDED
    assert await jobs.move("ftjob-none", list(Status), to(Status.FAILED)) is None


async def test_what_a_job_made_is_kept_with_its_move_or_not_at_all(jobs, database, writer):
    kept, tuned = job(status=Status.RUNNING), Tuned(database, writer)
    await jobs.create(kept)
    made = Made([model("ft:a")], [(checkpoint(kept.id, 3), model("ft:small:3"))])
    await jobs.move(kept.id, [Status.QUEUED], to(Status.SUCCEEDED), made=made)
    assert await tuned.models("p") == []
    await jobs.move(kept.id, [Status.RUNNING], to(Status.SUCCEEDED), made=made)
    assert [each.name for each in await tuned.models("p")] == ["ft:a", "ft:small:3"]
    assert [each.step for each in (await tuned.checkpoints(kept.id, Cut())).rows] == [3]


async def test_only_one_of_many_that_would_move_a_job_does(jobs):
    kept = job(status=Status.QUEUED)
    await jobs.create(kept)
    moves = [jobs.move(kept.id, [Status.QUEUED], to(Status.RUNNING)) for _ in range(8)]
    assert sum(each is not None for each in await asyncio.gather(*moves)) == 1


async def test_queueing_orders_the_learning(jobs, orders):
    kept = job(status=Status.PAUSED)
    await jobs.create(kept)
    assert await jobs.queue(kept.id, Status.VALIDATING, NewEvent("x", "x")) is None
    assert (await jobs.queue(kept.id, Status.PAUSED, NewEvent("x", "x"))).status is Status.QUEUED
    assert [each.workflow for each in await orders.waiting()] == [VALIDATE, LEARN]


async def test_an_event_is_told_once_by_its_key_and_pages_newest_first(jobs):
    kept = job()
    await jobs.create(kept)
    for number in range(5):
        await jobs.note(kept.id, NewEvent(f"step:{number}", f"Step {number}", data=b"{}"))
        await jobs.note(kept.id, NewEvent(f"step:{number}", "again"))
    await jobs.note(kept.id, NewEvent("end", "End", "warn"))
    page = await jobs.events(kept.id, Cut(3))
    assert [each.message for each in page.rows] == ["End", "Step 4", "Step 3"]
    assert [each.metrics for each in page.rows] == [False, True, True]
    assert page.has_more
    rest = await jobs.events(kept.id, Cut(3, page.rows[-1].id))
    assert [each.message for each in rest.rows] == ["Step 2", "Step 1", "Step 0"]
    assert await jobs.events(kept.id, Cut(3, "ftevent-none")) is None


async def test_who_begins_from_a_model_is_known_until_the_job_is_done(jobs):
    kept = job()
    await jobs.create(kept)
    assert await jobs.beginning_from("p", "small") == kept
    assert await jobs.beginning_from("q", "small") is None
    assert await jobs.beginning_from("p", "other") is None
    await jobs.move(kept.id, [Status.VALIDATING], to(Status.CANCELLED))
    assert await jobs.beginning_from("p", "small") is None
