"""TeacherTerms: kept by the name of the teacher, replaced and forgotten."""

from __future__ import annotations

import pytest

from stillhouse.storage.terms import TeacherTerms


@pytest.fixture
def terms(database, writer) -> TeacherTerms:
    return TeacherTerms(database, writer)


async def test_terms_are_kept_replaced_and_forgotten(terms):
    assert await terms.all() == {}
    await terms.put("b", {"allowed": ["train"]})
    await terms.put("a", {"allowed": []})
    await terms.put("b", {"allowed": ["serve"]})
    assert await terms.all() == {"a": {"allowed": []}, "b": {"allowed": ["serve"]}}
    assert await terms.remove("b")
    assert not await terms.remove("b")
    assert list(await terms.all()) == ["a"]
