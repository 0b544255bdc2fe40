"""Erasures: begun once, gone on with by their notes, ended with a receipt."""

from __future__ import annotations

import pytest

from stillhouse.storage.erasures import Erasures


@pytest.fixture
def erasures(database, writer) -> Erasures:
    return Erasures(database, writer)


async def test_the_same_subject_goes_on_with_what_was_begun(erasures):
    first = await erasures.begin("p", "hash")
    assert await erasures.begin("p", "hash") == first
    assert (await erasures.begin("q", "hash")).id != first.id
    await erasures.end(first.id, b"{}")
    second = await erasures.begin("p", "hash")
    assert second.id != first.id
    assert [each.receipt for each in await erasures.all() if each.id == first.id] == [b"{}"]


async def test_a_step_has_one_note_and_the_end_drops_them(erasures):
    one = await erasures.begin("p", "hash")
    await erasures.note(one.id, "file/a", {"rows": 1}, done=False)
    await erasures.note(one.id, "file/a", {"rows": 2})
    await erasures.note(one.id, "plan", {})
    assert await erasures.notes(one.id) == {"file/a": (True, {"rows": 2}), "plan": (True, {})}
    await erasures.end(one.id, b"{}")
    assert await erasures.notes(one.id) == {}
