"""Waiting calls are answered together, in order, and one's trouble is nobody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from stillhouse.inference.batcher import Batcher
from stillhouse.wire.errors import Overloaded


class Work:
    """Doubles numbers; holds the first batch until told to go on, and fails on negative ones."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.go.wait(5)
        self.batches.append(list(items))
        if min(items) < 0:
            raise ValueError(f"negative: {min(items)}")
        return [2 * item for item in items]


@pytest.fixture
def work() -> Work:
    return Work()


def ask(batcher: Batcher[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(batcher(item)) for item in items]


async def test_an_idle_worker_starts_at_once_and_the_rest_gathers_in_order(work):
    sizes: list[int] = []
    batcher = Batcher(work, largest=3, seen=sizes.append)
    tasks = ask(batcher, range(8))
    await asyncio.sleep(0.05)
    work.go.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert work.batches == [[0], [1, 2, 3], [4, 5, 6], [7]]
    assert sizes == [1, 3, 3, 1]
    batcher.close()


async def test_two_workers_answer_two_batches_at_once(work):
    sizes: list[int] = []
    batcher = Batcher(work, workers=2, seen=sizes.append)
    tasks = ask(batcher, range(5))
    await asyncio.sleep(0.05)
    assert sizes == [1, 1]
    work.go.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8]
    assert sorted(work.batches) == [[0], [1], [2, 3, 4]]
    assert sizes == [1, 1, 3]
    batcher.close()


async def test_only_the_item_that_fails_fails(work):
    work.go.set()
    batcher = Batcher(work)
    results = await asyncio.gather(*ask(batcher, [1, 2, -3, 4]), return_exceptions=True)
    assert [results[0], results[1], results[3]] == [2, 4, 8]
    assert isinstance(results[2], ValueError)
    assert await batcher(5) == 10
    batcher.close()


async def test_a_caller_who_leaves_is_not_worked_for(work):
    batcher = Batcher(work)
    first, second, third = ask(batcher, [1, 2, 3])
    await asyncio.sleep(0.05)
    first.cancel()  # at work already
    second.cancel()  # still waiting
    work.go.set()
    assert await third == 6
    assert work.batches == [[1], [3]]
    assert await batcher(4) == 8
    batcher.close()


async def test_when_all_who_wait_have_left_the_worker_is_idle_again(work):
    batcher = Batcher(work)
    tasks = ask(batcher, [1, 2])
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    work.go.set()
    await asyncio.sleep(0.05)
    assert await batcher(3) == 6
    batcher.close()


async def test_more_than_may_wait_are_refused(work):
    batcher = Batcher(work, waiting=2)
    tasks = ask(batcher, range(5))
    await asyncio.sleep(0.05)
    work.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[:3] == [0, 2, 4]
    assert all(isinstance(result, Overloaded) for result in results[3:])
    batcher.close()


async def test_closing_gives_up_what_waits(work):
    batcher = Batcher(work)
    tasks = ask(batcher, [1, 2])
    await asyncio.sleep(0.05)
    batcher.close()
    work.go.set()
    first, second = await asyncio.gather(*tasks, return_exceptions=True)
    assert first == 2
    assert isinstance(second, asyncio.CancelledError)
