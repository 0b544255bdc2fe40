"""Datasets in recipes: a version becomes rows that every reader reads, and its lineage goes into what is made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse.data.catalogue import Catalogue
from stillhouse.data.items import Facts, Item, Kind, Media, Source
from stillhouse.data.traffic import load_traffic
from stillhouse.data.versions import Step
from stillhouse.errors import DataError, UsageError
from stillhouse.recipes.datasets import answered_by_label, datasets_behind, is_dataset, note_use, open_dataset, row_of
from stillhouse.recipes.read_rows import read_rows
from stillhouse.recipes.sections import DataSection, TaskName
from stillhouse.storage.store import Store
from stillhouse.tasks.pairs import pair_of

ITEMS = [
    Item(
        Kind.CHAT,
        (
            {"role": "system", "content": "Sort it."},
            {"role": "user", "content": f"parcel {row} is {'late' * (row % 3)}"},
        ),
        {"role": "assistant", "content": ("early", "late", "lost")[row % 3]},
        truth="late" if row % 2 else None,
        facts=Facts(conversation=f"c{row}"),
        source=Source(origin="a.jsonl", row=row, teacher="large-1"),
    )
    for row in range(60)
]


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(None, tmp_path)
    yield store
    await store.close()


async def added(store, home: Path, items=ITEMS, project="default") -> str:
    catalogue = Catalogue(store, home, project)
    first = await catalogue.add("raw", items, Step("import", ("a.jsonl",), {"files": [{"sha256": "ab"}]}))
    return (await catalogue.add("support", items, Step("filter", (first.reference,)))).reference


def test_a_version_is_told_from_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_dataset(Path("support@3"))
    assert is_dataset(Path("project/support@3"))
    assert not any(map(is_dataset, map(Path, ("support", "a/b/support@3", "support@3.jsonl", "Support@3"))))
    Path("support@3").touch()
    assert not is_dataset(Path("support@3"))


async def test_traffic_is_read_from_it(store, tmp_path):
    file = await open_dataset(Path(await added(store, tmp_path)), store, tmp_path)
    traffic = load_traffic([file])
    assert traffic.counts.bad == 0
    assert len(traffic.texts) == 60
    assert traffic.conversations == [f"c{row}" for row in range(60)]
    assert file.stat().st_mode & 0o777 == 0o600
    assert await open_dataset(Path("support@1"), store, tmp_path) == file


async def test_training_reads_it(store, tmp_path):
    file = await open_dataset(Path(await added(store, tmp_path)), store, tmp_path)
    rows = read_rows(DataSection(train=file), TaskName.CLASSIFICATION, 0)
    assert rows.inputs[1] == "parcel 1 is late"
    assert rows.answers is not None
    assert set(rows.answers) == {"early", "late", "lost"}
    assert len(read_rows(DataSection(train=file), TaskName.CHAT, 0).inputs[0]["messages"]) == 3


async def test_what_is_made_of_it_tells_its_lineage(store, tmp_path):
    file = await open_dataset(
        Path(await added(store, tmp_path, project="p")).parent / "p" / "support@1", store, tmp_path
    )
    [told] = datasets_behind([file, None, tmp_path / "calls.jsonl"])["datasets"]
    assert (told["name"], told["project"]) == ("support@1", "p")
    assert [version["version"] for version in told["lineage"]] == ["support@1", "raw@1"]
    assert told["lineage"][1]["settings"] == {"files": [{"sha256": "ab"}]}
    assert str(tmp_path) not in json.dumps(told)
    assert datasets_behind([tmp_path / "calls.jsonl"]) == {}


async def test_who_learnt_from_it_is_noted(store, tmp_path):
    file = await open_dataset(Path(await added(store, tmp_path)), store, tmp_path)
    await note_use(file, "bundle", "/models/a", store, tmp_path)
    await note_use(tmp_path / "calls.jsonl", "bundle", "/models/b", store, tmp_path)
    catalogue = Catalogue(store, tmp_path, "default")
    uses = await catalogue.uses(await catalogue.list())
    assert [(use.version, use.user) for use in uses] == [(("support", 1), "/models/a")]


async def test_a_version_that_is_not_there_is_told(store, tmp_path):
    with pytest.raises(UsageError, match="support@9"):
        await open_dataset(Path("support@9"), store, tmp_path)


async def test_half_a_file_is_never_left(store, tmp_path):
    reference = await added(store, tmp_path, [*ITEMS, Item(Kind.IMAGE, media=(Media("d", "image/png", "x.png", 1),))])
    with pytest.raises(DataError, match="no words"):
        await open_dataset(Path(reference), store, tmp_path)
    names = {path.name for path in (tmp_path / "datasets/default/support/1").iterdir()}
    assert names == {"items.parquet", "version.json"}


def test_labels_and_answers_stand_for_each_other():
    asked = ({"role": "user", "content": "a"},)
    labelled, answered = (
        Item(Kind.TEXT, asked, label="x"),
        Item(Kind.CHAT, asked, {"role": "assistant", "content": "y"}),
    )
    assert row_of(labelled)["messages"][-1] == {"role": "assistant", "content": "x"}
    assert row_of(answered)["label"] == "y"
    assert "label" not in row_of(Item(Kind.TEXT, asked))


async def test_students_that_sort_learn_labels_and_not_earlier_answers(store, tmp_path):
    later = [replace(item, label="new", facts=replace(item.facts, tags=())) for item in ITEMS]
    doubtful = replace(ITEMS[0], label=None, facts=replace(ITEMS[0].facts, tags=("unsure",)))
    reference = Path(await added(store, tmp_path, [*later[:30], doubtful]))
    file = await open_dataset(reference, store, tmp_path, by_label=True)
    answers = [json.loads(line)["messages"][-1] for line in file.read_text().splitlines()]
    assert {row["content"] for row in answers[:-1]} == {"new"}
    assert answers[-1]["role"] == "user"
    assert datasets_behind([file]) == datasets_behind([await open_dataset(reference, store, tmp_path)])
    kept = [
        json.loads(line)["messages"][-1]["content"] for line in file.with_name("rows.jsonl").read_text().splitlines()
    ]
    assert "new" not in kept


JSON = '{"label": "x", "sure": true}'


@pytest.mark.parametrize(("said", "learnt"), [(JSON, JSON), ('{"label": "y"}', "x"), ("x ", "x "), ("17", "x")])
def test_an_answer_that_says_the_label_stays(said, learnt):
    asked = ({"role": "user", "content": "a"},)
    item = Item(Kind.CHAT, asked, {"role": "assistant", "content": said}, label="x")
    assert row_of(answered_by_label(item))["messages"][-1]["content"] == learnt


def test_preferences_are_rows_of_two_answers():
    item = replace(ITEMS[0], kind=Kind.PREFERENCE, rejected={"role": "assistant", "content": "lost"})
    better, worse = pair_of(row_of(item))
    assert (better["completion"][0]["content"], worse["completion"][0]["content"]) == ("early", "lost")
