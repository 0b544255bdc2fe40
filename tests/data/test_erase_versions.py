"""Versions that lose rows are replaced; the newest stays what its name means; what nobody lost stays as it is."""

from __future__ import annotations

import pytest

from stillhouse.data.catalogue import Catalogue, Step
from stillhouse.data.erase_versions import ErasingVersions
from stillhouse.data.trace import Trace
from stillhouse.errors import UsageError
from stillhouse.storage.store import Store
from tests.recipes.erased import ANN, BOB, item, said


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(None, tmp_path)
    yield store
    await store.close()


@pytest.fixture
def catalogue(store, tmp_path) -> Catalogue:
    return Catalogue(store, tmp_path, "default")


@pytest.fixture
def erasing(store, catalogue) -> ErasingVersions:
    return ErasingVersions(store, catalogue, Trace(ANN), lambda told: None)


async def test_the_newest_version_stays_the_newest_where_only_an_older_one_lost_rows(erasing, catalogue):
    await catalogue.add("mail", [item(ANN, 1), item(BOB, 1)], Step("import"))
    clean = await catalogue.add("mail", [item(BOB, 1)], Step("filter", ("mail@1",)))
    await erasing.learn()
    await erasing.unlearn()
    [losing] = await erasing.survey()
    assert (losing.reference, losing.rows, losing.dropped) == ("mail@1", 1, 0)
    [told] = await erasing.replace(["mail@1"], "erasure-1")
    assert told["successor"] == "mail@3"
    newest = await catalogue.find("mail")
    assert newest.step.parents == ("mail@2",)
    assert newest.hash == clean.hash
    assert (await catalogue.find("mail@2")).hash == clean.hash


async def test_why_somebody_elses_item_was_left_out_does_not_quote_the_person(erasing, catalogue):
    quoting = f"not new: 0.80 like {said(ANN, 1)[:160]!r}"
    left_out = [(item(BOB, 2), quoting), (item(BOB, 3), "too long: 900 words")]
    await catalogue.add("mail", [item(ANN, 1), item(BOB, 1)], Step("import"))
    await catalogue.add("more", [item(BOB, 4)], Step("select", ("mail@1",)), left_out)
    await erasing.learn()
    await erasing.unlearn()
    assert [(each.reference, each.rows, each.dropped) for each in await erasing.survey()] == [
        ("mail@1", 1, 0),
        ("more@1", 0, 1),
    ]
    await erasing.replace(["mail@1", "more@1"], "erasure-1")
    reasons = [reason for _, reason in catalogue.read_dropped(await catalogue.find("more"))]
    assert reasons == ["not new: [erased]", "too long: 900 words"]
    assert await erasing.survey() == []


async def test_a_version_of_which_nothing_is_left_has_no_successor(erasing, catalogue):
    version = await catalogue.add("mail", [item(ANN, 1)], Step("import"))
    await erasing.learn()
    await erasing.unlearn()
    [told] = await erasing.replace(["mail@1"], "erasure-1")
    assert told["successor"] is None
    assert not version.path.parent.exists()
    with pytest.raises(UsageError, match="Nothing of it was left"):
        await catalogue.find("mail")
    assert await erasing.survey() == []


async def test_once_more_it_finds_all_done(erasing, catalogue):
    await catalogue.add("mail", [item(ANN, 1), item(BOB, 1)], Step("import"))
    await erasing.learn()
    await erasing.unlearn()
    first = await erasing.replace(["mail@1"], "erasure-1")
    assert await erasing.replace(["mail@1"], "erasure-1") == first
    assert [each.reference for each in await catalogue.list()] == ["mail@1", "mail@2"]


async def test_who_is_erased_next_is_found_where_the_first_stood(erasing, catalogue, store):
    await catalogue.add("mail", [item(ANN, 1), item(BOB, 1), item("eve", 2)], Step("import"))
    await erasing.learn()
    await erasing.unlearn()
    await erasing.replace(["mail@1"], "erasure-1")
    second = ErasingVersions(store, catalogue, Trace(BOB), lambda told: None)
    await second.learn()
    await second.unlearn()
    [losing] = await second.survey()
    assert losing.reference == "mail@2"
    assert await second.stood_for(["mail@2"]) == {"mail@1": "mail@2"}
