"""Holds: what they protect outlives retention, `delete`, changes and erasure, and everybody is told why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.errors import OnHold, UsageError
from stillhouse.storage.holds import Protected
from stillhouse.storage.store import Store
from tests.storage.stored import completion


@pytest.fixture
async def store(own_database, tmp_path):
    store = await Store.open(own_database, tmp_path)
    await store.completions.add("p", replace(completion(1), subject="ada"), replace(completion(2), subject="bob"))
    await store.completions.add("p", completion(3))
    yield store
    await store.close()


async def left(store: Store) -> list[int]:
    known = await store.completions.several("p", [f"chatcmpl-{number:06}" for number in range(1, 4)])
    return [row.created for row in known]


KINDS = {"all": ({}, [1, 2, 3]), "subject": ({"subject": "ada"}, [1]), "call": ({"completion": "chatcmpl-000002"}, [2])}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_held_is_not_deleted_until_released(store, kind):
    named, expected = KINDS[kind]
    hold = await store.holds.place("p", "case 7", "terminal:ada", **named)
    assert await store.holds.all("p") == [hold]
    for number in (1, 2, 3):
        completion_id = f"chatcmpl-{number:06}"
        if number in expected:
            with pytest.raises(OnHold, match=rf"case 7.*hold release {hold.id}"):
                await store.completions.delete("p", completion_id, "key:1")
            with pytest.raises(OnHold):
                await store.completions.replace_metadata("p", completion_id, {}, "key:1")
    assert await store.retention.delete_before(10) == 3 - len(expected)
    assert await left(store) == expected
    await store.holds.release(hold.id, "terminal:ada")
    assert await store.retention.delete_before(10) == len(expected)
    assert await left(store) == []


async def test_the_log_is_told_of_holds_and_of_what_they_refused_but_not_of_subjects(store):
    hold = await store.holds.place("p", "case 7", "terminal:ada", subject="ada")
    with pytest.raises(OnHold):
        await store.completions.delete("p", "chatcmpl-000001", "key:1")
    await store.completions.delete("p", "chatcmpl-000002", "key:1")
    await store.holds.release(hold.id, "terminal:bob")
    entries = [entry.event async for entry in store.audit.entries()]
    told = [(each.action, each.actor, each.object, each.outcome) for each in entries]
    assert told == [
        ("hold.placed", "terminal:ada", hold.id, "done"),
        ("completion.deleted", "key:1", "chatcmpl-000001", "refused"),
        ("completion.deleted", "key:1", "chatcmpl-000002", "done"),
        ("hold.released", "terminal:bob", hold.id, "done"),
    ]
    assert entries[1].details == {"hold": hold.id}
    assert "ada" not in str([entry.details for entry in entries])


async def test_a_subject_is_held_by_a_hold_on_it_on_one_of_its_calls_or_on_all(store):
    assert await store.holds.on_subject("p", "ada") is None
    one = await store.holds.place("p", "why", "terminal", completion="chatcmpl-000001")
    assert await store.holds.on_subject("p", "ada") == one
    assert await store.holds.on_subject("p", "bob") is None
    everything = await store.holds.place("p", "why", "terminal")
    assert await store.holds.on_subject("p", "bob") == everything
    assert await store.holds.on_subject("q", "ada") is None
    assert await store.holds.all("q") == []
    assert await store.holds.all() == [one, everything]


async def test_holds_that_make_no_sense_are_wrong_use(store):
    with pytest.raises(UsageError, match="no stored call x"):
        await store.holds.place("p", "why", "terminal", completion="x")
    with pytest.raises(UsageError, match="not on both"):
        await store.holds.place("p", "why", "terminal", "ada", "chatcmpl-000001")
    with pytest.raises(UsageError, match="needs a reason"):
        await store.holds.place("p", " ", "terminal")
    with pytest.raises(UsageError, match="no hold hold_1"):
        await store.holds.release("hold_1", "terminal")


def test_a_call_is_covered_by_its_project_its_subject_or_itself():
    assert Protected(True, frozenset(), frozenset()).covers(completion(1))
    some = Protected(False, frozenset({"ada"}), frozenset({completion(2).id}))
    about = [replace(completion(1), subject=subject) for subject in ("ada", "bob")]
    named = [completion(1, subject=subject) for subject in ("ada", "bob")]
    asked = [*about, *named, completion(2), completion(3)]
    assert [some.covers(each) for each in asked] == [True, False, True, False, True, False]


async def test_a_hold_on_a_subject_protects_calls_that_name_it_in_metadata_given_later(store):
    await store.completions.replace_metadata("p", "chatcmpl-000003", {"subject": "ada"})
    hold = await store.holds.place("p", "case 7", "terminal:ada", subject="ada")
    for refused in (
        store.completions.delete("p", "chatcmpl-000003"),
        store.completions.replace_metadata("p", "chatcmpl-000003", {"subject": "bob"}),
    ):
        with pytest.raises(OnHold, match="case 7"):
            await refused
    assert await store.retention.delete_before(10) == 1
    assert await left(store) == [1, 3]
    await store.holds.release(hold.id, "terminal:ada")
    await store.holds.place("p", "case 8", "terminal:ada", completion="chatcmpl-000003")
    assert (await store.holds.on_subject("p", "ada")).reason == "case 8"
    assert await store.holds.on_subject("p", "bob") is None
