"""What is too old is gone, from every project, with all that it was found by; the rest stays."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from stillhouse.storage import retention
from stillhouse.storage.audit import Audit
from stillhouse.storage.records import Cut, Wanted
from stillhouse.storage.retention import Retention
from stillhouse.storage.tables import COMPLETIONS, TERMS
from tests.storage.stored import completion, numbers


@pytest.mark.parametrize("at_once", [2, 500])
async def test_what_is_too_old_is_deleted_and_the_rest_stays(database, writer, completions, monkeypatch, at_once):
    monkeypatch.setattr(retention, "AT_ONCE", at_once)
    for project in ("p", "q"):
        await completions.add(project, *[completion(number, tag="a") for number in range(1, 8)])
    assert await Retention(database, writer).delete_before(6) == 10
    for project in ("p", "q"):
        assert numbers(await completions.page(project, Wanted(metadata={"tag": "a"}), Cut())) == [7, 6]
    async with database.reading() as connection:
        left = [
            (await connection.execute(select(func.count()).select_from(table))).scalar()
            for table in (COMPLETIONS, TERMS)
        ]
    assert left == [4, 4 * 3]


async def test_a_call_that_is_still_found_by_what_it_no_longer_has_stays(database, writer, completions):
    kept = Retention(database, writer)
    await completions.add("p", completion(1, use="a"), completion(2, use="a"))

    async def leave_behind(connection):
        values = {"metadata": b'{"use": "b"}'}
        await connection.execute(update(COMPLETIONS).where(COMPLETIONS.c.id == completion(1).id).values(values))

    await writer.change(leave_behind)
    await kept.keep_for("p", 60, Wanted(metadata={"use": "a"}))
    assert [(each.deleted, each.held) for each in [*await kept.run(dry=True), *await kept.run()]] == [(1, 0)] * 2
    assert numbers(await completions.page("p", Wanted(), Cut())) == [1]
    await completions.replace_metadata("p", completion(1).id, {"use": "a"})
    assert numbers(await completions.page("p", Wanted(metadata={"use": "a"}), Cut())) == [1]


async def test_nothing_is_nothing(database, writer):
    assert await Retention(database, writer).delete_before(10) == 0


async def test_a_policy_is_about_what_it_names_and_goes_on_where_it_was_killed(
    database, writer, completions, monkeypatch
):
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    audit = Audit(database, writer)
    kept = Retention(database, writer, audit)
    await completions.add("p", *[completion(number, use="a" if number % 2 else "b") for number in range(1, 12)])
    await completions.add("q", completion(1, use="a"))
    policy = await kept.keep_for("p", 60, Wanted(model="large", metadata={"use": "a"}), "terminal:ada")
    assert await kept.policies("p") == [policy]
    assert [each.deleted for each in await kept.run(dry=True)] == [6]
    change, calls = writer.change, []

    async def killed(work):
        calls.append(work)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return await change(work)

    monkeypatch.setattr(writer, "change", killed)
    with pytest.raises(KeyboardInterrupt):
        await kept.run()
    monkeypatch.setattr(writer, "change", change)
    assert numbers(await completions.page("p", Wanted(metadata={"use": "a"}), Cut())) == [11, 9, 7, 5]
    [swept] = await kept.run("p", "terminal:ada")
    assert (swept.policy, swept.deleted, swept.held) == (policy, 4, 0)
    assert numbers(await completions.page("p", Wanted(), Cut())) == [10, 8, 6, 4, 2]
    assert numbers(await completions.page("q", Wanted(), Cut())) == [1]
    entries = [entry.event async for entry in audit.entries()]
    assert [entry.action for entry in entries] == ["retention.set", *["retention.deleted"] * 3]
    assert [entry.details["deleted"] for entry in entries[1:]] == [2, 2, 2]
    assert [entry.actor for entry in entries[1:]] == ["server", "terminal:ada", "terminal:ada"]
    await kept.forget(policy.id, "terminal:ada")
    assert await kept.run() == []
