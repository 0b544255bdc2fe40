"""Versions that lose rows are replaced; the newest stays what its name means; what nobody lost stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

from stillhouse.data.catalogue import Catalogue, Step
from stillhouse.data.erase_versions import ErasingVersions
from stillhouse.data.trace import Trace
from stillhouse.errors import OnHold, UsageError
from stillhouse.recipes.datasets import open_dataset
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


@pytest.mark.parametrize("subject", [ANN, "1042"])
async def test_rows_that_an_import_kept_aside_lose_the_persons(store, catalogue, tmp_path, subject):
    rows = [json.dumps({"user": who, "address": "Lindenweg"}) for who in (subject, BOB)] + ['{"user": "' + subject]
    rows += [json.dumps({"user": BOB, "text": "step 1042"}), "1042,3"]
    lines = [json.dumps({"file": "a", "line": n, "reason": "x", "row": row}) for n, row in enumerate(rows)]
    aside = tmp_path / "bad_rows.jsonl"
    aside.write_text("\n".join(lines) + "\n")
    version = await catalogue.add("mail", [item(BOB, 1)], Step("import"), beside=[aside])
    erasing = ErasingVersions(store, catalogue, Trace(subject), lambda told: None)
    assert await erasing.survey_beside() == {"version": 0, "bad_row": 2}
    await erasing.erase_beside()
    kept = version.path.with_name("bad_rows.jsonl")
    assert [json.loads(line)["line"] for line in kept.read_text().splitlines()] == [1, 3, 4]
    assert kept.stat().st_mode & 0o077 == 0
    assert await erasing.survey_beside() == {"version": 0, "bad_row": 0}
    assert (await catalogue.find("mail@1")).hash == version.hash


@pytest.mark.parametrize("subject", [ANN, "alice"])
async def test_the_steps_of_versions_name_the_person_no_more(store, catalogue, tmp_path, subject):
    filter_ = {"equal": {"subject": [subject, BOB]}}
    one = await catalogue.add("mail", [item(BOB, 1)], Step("filter", (f"{ANN}.jsonl",), {"filter": filter_}))
    two = await catalogue.add(ANN, [item(BOB, 2)], Step("mix", ("mail@1",), {"seed": "alice"}))
    three = await catalogue.add("more", [item(BOB, 3)], Step("filter", (two.reference,)))
    for version in (one, two, three):
        await open_dataset(Path(version.reference), store, tmp_path)
    erasing = ErasingVersions(store, catalogue, Trace(subject), lambda told: None)
    assert (await erasing.survey_beside())["version"] == 1
    await erasing.erase_beside()
    assert (await erasing.survey_beside())["version"] == 0
    assert await erasing.survey() == []
    step = (await catalogue.find("mail@1")).step
    assert step.settings == {"filter": {"equal": {"subject": ["[erased]", BOB]}}}
    assert step.parents == (("[subject].jsonl",) if subject == ANN else (f"{ANN}.jsonl",))
    told = orjson.loads(one.path.with_name("version.json").read_bytes())
    assert (told["step"], told["hash"]) == (step.to_json(), one.hash)
    lineage = b"".join(each.path.with_name("rows.json").read_bytes() for each in (one, two))
    assert b'"[erased]"' in lineage
    assert orjson.dumps([subject, BOB])[1:-1] not in lineage.replace(b" ", b"").replace(b"\n", b"")
    assert (await catalogue.find("more@1")).step.parents == (f"{ANN}@1",)
    assert (await catalogue.find(two.reference)).step.settings == {"seed": "alice"}


async def test_a_version_that_is_put_on_hold_meanwhile_is_not_destroyed(erasing, catalogue, store):
    version = await catalogue.add("mail", [item(ANN, 1), item(BOB, 1)], Step("import"))
    await erasing.learn()
    await erasing.unlearn()
    await store.holds.place("default", "case 8", "terminal:x", subject="somebody else")
    hold = await store.holds.place("default", "case 9", "terminal:x", subject=ANN)
    with pytest.raises(OnHold, match="case 9"):
        await erasing.replace(["mail@1"], "erasure-1")
    assert len(list(catalogue.read(version))) == 2
    await store.holds.release(hold.id, "terminal:x")
    [told] = await erasing.replace(["mail@1"], "erasure-1")
    assert told["items_after"] == 1


async def test_why_rows_were_above_a_cap_names_the_person_no_more(catalogue, store):
    why = "over-cap: 9 rows of the subject alice, 3 stay"
    await catalogue.add("mail", [item(BOB, 1)], Step("curate"), [(item(BOB, 2), why), (item(BOB, 3), "like alice")])
    erasing = ErasingVersions(store, catalogue, Trace("alice"), lambda told: None)
    await erasing.replace([each.reference for each in await erasing.survey()], "erasure-1")
    reasons = [reason for _, reason in catalogue.read_dropped(await catalogue.find("mail"))]
    assert reasons == ["over-cap: [erased]", "like alice"]
