"""Work: orders wait until they are taken, and workers are alive as long as they count."""

from __future__ import annotations

import pytest

from stillhouse.storage.work import Orders, Worker, Workers, place_order


@pytest.fixture
def orders(database, writer) -> Orders:
    return Orders(database, writer)


@pytest.fixture
def workers(database, writer) -> Workers:
    return Workers(database, writer)


async def test_orders_wait_in_turn_until_they_are_taken(orders):
    placed = [await orders.place("flow", str(number)) for number in range(3)]
    assert await orders.waiting() == placed
    assert await orders.waiting(2) == placed[:2]
    await orders.taken(placed[0])
    await orders.taken(placed[0])
    assert await orders.waiting() == placed[1:]


async def test_an_order_in_a_transaction_that_fails_was_never_placed(orders, writer):
    async def change(connection) -> None:
        await place_order(connection, "flow", "x")
        raise RuntimeError("undone")

    with pytest.raises(Exception, match="was not written"):
        await writer.change(change)
    assert await orders.waiting() == []


async def test_a_worker_counts_until_others_take_it_for_dead(workers):
    await workers.join("w", "here")
    assert await workers.beat("w")
    [seen] = await workers.all()
    assert seen == Worker("w", "here", 1, False)
    assert await workers.beat("w")
    assert not await workers.end(seen)  # it has counted since
    assert await workers.end((await workers.all())[0])
    assert not await workers.beat("w")
    await workers.forget("w")
    assert await workers.all() == []
    assert not await workers.beat("w")


async def test_a_worker_that_leaves_has_ended(workers):
    await workers.join("w", "here")
    await workers.leave("w")
    assert [each.ended for each in await workers.all()] == [True]
