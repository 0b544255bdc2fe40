"""Stored completions on every database: what was added is found, by every filter, in pages of both directions."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from sqlalchemy import func, select

from stillhouse.errors import StorageError
from stillhouse.storage.completions import Completions
from stillhouse.storage.database import Database, database_url
from stillhouse.storage.records import Cut, Wanted
from stillhouse.storage.tables import COMPLETIONS, TERMS
from stillhouse.storage.writer import Writer
from tests.storage.stored import completion, numbers

ALL = Wanted()


async def fill(completions, *rows, project: str = "p") -> None:
    await asyncio.gather(*[completions.add(project, row) for row in rows])


async def listed(completions, wanted: Wanted = ALL, project: str = "p", **asked) -> list[int]:
    return numbers(await completions.page(project, wanted, Cut(**asked)))


async def test_what_was_added_comes_back_as_it_was(completions):
    row = completion(7, kind="ticket", empty="", odd="Ünï \x00 'quoted\"")
    await completions.add("p", row)
    assert await completions.get("p", row.id) == row
    assert await completions.get("p", "chatcmpl-none") is None


async def test_pages_follow_each_other_without_gap_or_overlap(completions):
    made_in = {1: 5, 2: 5, 3: 5, 4: 6, 5: 7, 6: 7, 7: 8}  # several in one second
    await fill(completions, *[completion(number, created) for number, created in made_in.items()])
    for limit, ascending in itertools.product((1, 2, 3, 7, 100), (False, True)):
        seen, after = [], None
        while True:
            page = await completions.page("p", ALL, Cut(limit, after, ascending))
            assert len(page.rows) <= limit
            seen += numbers(page)
            if not page.has_more:
                break
            after = page.rows[-1].id
        assert seen == sorted(made_in, reverse=not ascending)


async def test_an_older_call_that_is_added_later_is_listed_where_it_belongs(completions):
    await fill(completions, completion(1, created=50), completion(2, created=40), completion(3, created=60))
    assert await listed(completions) == [3, 1, 2]


async def test_a_model_is_found_by_the_name_it_was_asked_by_and_the_one_it_answered_with(completions):
    await fill(completions, completion(1), completion(2, model="small"), completion(3))
    assert await listed(completions, Wanted(model="large")) == [3, 1]
    assert await listed(completions, Wanted(model="alias-of-small")) == [2]
    assert await listed(completions, Wanted(model="lar")) == []


async def test_metadata_must_be_equal_and_all_there(completions):
    await fill(
        completions,
        completion(1, tag="a", env="prod"),
        completion(2, tag="a", env="test"),
        completion(3, tag="b", env="prod"),
        completion(4, tag=""),
        completion(5, env="prod", model="small"),
    )
    assert await listed(completions, Wanted(metadata={"tag": "a"})) == [2, 1]
    assert await listed(completions, Wanted(metadata={"tag": "a", "env": "prod"})) == [1]
    assert await listed(completions, Wanted(metadata={"tag": ""})) == [4]
    assert await listed(completions, Wanted(metadata={"tag": "A"})) == []
    assert await listed(completions, Wanted("small", {"env": "prod"})) == [5]
    assert await listed(completions, Wanted("large", {"env": "prod", "tag": "b"})) == [3]
    assert await listed(completions, Wanted(metadata={"env": "prod"}), ascending=True, limit=2) == [1, 3]
    assert await listed(completions, Wanted(metadata={"env": "prod"}), after="chatcmpl-000003") == [1]


async def test_other_metadata_take_the_place_of_all_there_were(completions):
    await fill(completions, completion(1, tag="a", env="prod"))
    changed = await completions.replace_metadata("p", "chatcmpl-000001", {"tag": "b"})
    assert changed == completion(1, tag="b")
    assert await completions.get("p", "chatcmpl-000001") == changed
    assert await listed(completions, Wanted(metadata={"tag": "a"})) == []
    assert await listed(completions, Wanted(metadata={"env": "prod"})) == []
    assert await listed(completions, Wanted("large", {"tag": "b"})) == [1]
    assert await completions.replace_metadata("p", "chatcmpl-none", {}) is None


@pytest.fixture
async def beside(url, database, tmp_path):
    """The completions as another server has them."""
    other = await Database.open(database_url(url, tmp_path))
    writer = Writer(other)
    yield Completions(other, writer)
    await writer.close()
    await other.close()


async def test_what_two_servers_change_at_once_is_found_by_what_it_has_alone(completions, beside):
    uses = ("support", "sales")
    for number in range(1, 9):
        row = completion(number, use="x")
        await completions.add("p", row)
        both = zip((completions, beside), uses, strict=True)
        await asyncio.gather(*[each.replace_metadata("p", row.id, {"use": use}) for each, use in both])
    has = {use: [] for use in uses}
    for number in range(1, 9):
        has[(await completions.get("p", completion(number).id)).metadata["use"]].append(number)
    for use in uses:
        assert await listed(completions, Wanted(metadata={"use": use}), ascending=True) == has[use]


async def test_of_two_servers_that_delete_at_once_one_finds_nothing(completions, beside):
    for number in range(1, 9):
        row = completion(number)
        await completions.add("p", row)
        done = await asyncio.gather(*[each.delete("p", row.id) for each in (completions, beside)])
        assert sorted(done) == [False, True]


async def test_a_deleted_one_leaves_nothing_but_its_place(completions, database):
    await fill(completions, *[completion(number, tag="a") for number in (1, 2, 3)])
    assert await completions.delete("p", "chatcmpl-000002")
    assert not await completions.delete("p", "chatcmpl-000002")
    assert await completions.get("p", "chatcmpl-000002") is None
    assert await listed(completions, Wanted(metadata={"tag": "a"})) == [3, 1]
    assert await listed(completions, after="chatcmpl-000002") == [1]
    async with database.reading() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(t))).scalar() for t in (COMPLETIONS, TERMS)
        ]
    assert counts == [2, 6]


async def test_nobody_goes_on_after_what_never_was(completions):
    await completions.add("p", completion(1))
    assert await completions.page("p", ALL, Cut(after="chatcmpl-none")) is None


async def test_no_project_sees_anything_of_another(completions):
    await fill(completions, completion(1, tag="a"), project="p")
    await fill(completions, completion(1, tag="b"), project="q")
    assert await listed(completions, Wanted(metadata={"tag": "b"})) == []
    assert await completions.delete("q", "chatcmpl-000001")
    assert (await completions.get("p", "chatcmpl-000001")).metadata == {"tag": "a"}
    assert await listed(completions, Wanted("large")) == [1]
    assert await completions.get("q", "chatcmpl-000001") is None


async def test_a_taken_id_is_refused_and_spoils_nothing(completions):
    await completions.add("p", completion(1, tag="first"))
    done = await asyncio.gather(
        *[completions.add("p", completion(number, tag="second")) for number in (2, 1, 3)], return_exceptions=True
    )
    assert [type(each) for each in done] == [type(None), StorageError, type(None)]
    assert "question" not in str(done[1])
    assert await listed(completions, Wanted(metadata={"tag": "second"})) == [3, 2]
    assert (await completions.get("p", "chatcmpl-000001")).metadata == {"tag": "first"}


async def test_ids_are_of_those_that_fit_oldest_first_and_of_too_many_the_newest(completions):
    await fill(completions, *[completion(number, kind=("odd" if number % 2 else "even")) for number in range(1, 9)])

    async def found(metadata=None, model=None, **more) -> list[int]:
        ids = await completions.ids("p", Wanted(model, metadata), **more)
        return [int(each.removeprefix("chatcmpl-")) for each in ids]

    assert await found() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await found(since=3, until=5) == [3, 4, 5]
    assert await found(most=2) == [7, 8]
    assert await found({"kind": "odd"}, "large", since=2, most=2) == [5, 7]
    assert await found({"kind": "odd"}, "nobody") == []
    assert await completions.ids("q", ALL) == []


async def test_several_come_with_their_messages_and_deleted_ones_are_known_still(completions):
    await fill(completions, *[completion(number) for number in (1, 2, 3)])
    await completions.delete("p", "chatcmpl-000002")
    ids = [f"chatcmpl-{number:06}" for number in (3, 2, 1, 9)]
    assert await completions.several("p", ids) == [completion(1), completion(3)]
    assert await completions.known("p", ids) == set(ids[:3])
    assert await completions.known("q", ids) == set()
