"""Datasets: numbers are given once, versions are found with their parents, and what was deleted stays away."""

from __future__ import annotations

import asyncio

import pytest

from stillhouse.errors import StorageError
from stillhouse.storage.dataset_records import StoredMedia, StoredUse, StoredVersion
from stillhouse.storage.datasets import Datasets


@pytest.fixture
def datasets(database, writer) -> Datasets:
    return Datasets(database, writer)


def version(name: str, number: int, *parents: tuple[str, int]) -> StoredVersion:
    return StoredVersion(name, number, 5, "ab" * 32, 2, 1, 100, b'{"verb": "import"}', tuple(parents))


async def test_no_number_is_given_twice(datasets):
    given = await asyncio.gather(*[datasets.next_number("p", "a") for _ in range(5)])
    assert sorted(given) == [1, 2, 3, 4, 5]
    assert await datasets.next_number("p", "b") == 1
    assert await datasets.next_number("q", "a") == 1


async def test_versions_are_found_with_their_parents(datasets):
    await datasets.add("p", version("a", 1))
    await datasets.add("p", version("a", 2, ("a", 1)))
    await datasets.add("p", version("b", 1, ("a", 2), ("a", 1)))
    assert await datasets.find("p", "a") == version("a", 2, ("a", 1))
    assert await datasets.find("p", "a", 1) == version("a", 1)
    assert await datasets.find("p", "b") == version("b", 1, ("a", 1), ("a", 2))
    assert await datasets.find("q", "a") is None
    assert await datasets.find("p", "a", 3) is None
    assert [(each.name, each.number) for each in await datasets.all("p")] == [("a", 1), ("a", 2), ("b", 1)]
    assert await datasets.all("q") == []
    assert await datasets.children("p", ("a", 1)) == [("a", 2), ("b", 1)]
    assert await datasets.projects() == ["p"]


async def test_one_version_is_kept_once(datasets):
    await datasets.add("p", version("a", 1))
    with pytest.raises(StorageError):
        await datasets.add("p", version("a", 1))


async def test_what_is_deleted_tells_which_files_it_had(datasets):
    first, second = StoredMedia("d1", 3), StoredMedia("d2", 4)
    await datasets.add("p", version("a", 1), [first, second, first])
    await datasets.add("p", version("a", 2, ("a", 1)), [second])
    assert await datasets.delete("p", [("a", 1)]) == ["d1", "d2"]
    assert await datasets.find("p", "a", 1) is None
    assert await datasets.children("p", ("a", 1)) == [("a", 2)]
    assert await datasets.next_number("p", "a") == 1  # nobody had asked for a number: they were made up here
    assert await datasets.delete("q", [("a", 2)]) == []
    assert await datasets.find("p", "a", 2) is not None


async def test_who_learnt_from_a_version_is_known_once(datasets):
    use = StoredUse(("a", 1), "bundle", "/models/ä \udce4", 7)
    await datasets.used("p", use)
    await datasets.used("p", use)
    await datasets.used("p", StoredUse(("a", 2), "bundle", "/models/b", 6))
    assert await datasets.uses("p", [("a", 1), ("a", 2)]) == [StoredUse(("a", 2), "bundle", "/models/b", 6), use]
    assert await datasets.uses("p", [("a", 1)]) == [use]
    assert await datasets.uses("q", [("a", 1)]) == []


async def test_filters_are_kept_by_name(datasets):
    await datasets.save_filter("p", "billing", b"{}")
    await datasets.save_filter("p", "billing", b'{"like":"x"}')
    await datasets.save_filter("p", "a", b"{}")
    assert list((await datasets.filters("p")).items()) == [("a", b"{}"), ("billing", b'{"like":"x"}')]
    assert await datasets.filters("q") == {}
    assert await datasets.forget_filter("p", "a")
    assert not await datasets.forget_filter("p", "a")
    assert list(await datasets.filters("p")) == ["billing"]
