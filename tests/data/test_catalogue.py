"""The catalogue: versions never change, are found by name, know what they were made of, and go only when they may."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from stillhouse.data.items import Item, Kind, Media, hash_items
from stillhouse.data.shelf import Shelf
from stillhouse.data.versions import Step
from stillhouse.errors import DataError, StorageError, UsageError
from stillhouse.storage.backup import backup
from stillhouse.storage.restore import restore
from stillhouse.storage.store import Store
from tests.data.items_for_tests import WHOLE, catalogue, text

ITEMS = [WHOLE, *[text(f"question {row}", row) for row in range(1, 5)]]
IMPORT = Step("import", ("a.jsonl",), {"files": ["a.jsonl"]}, {"kept": 5})
HASH = "a31c95e291d96883b862c61b6a218d1e0167340a67089a1a132bffb819d160ba"
"""Of ITEMS, wherever they are hashed."""


async def test_a_version_is_found_and_read_as_it_was_added(tmp_path):
    async with catalogue(tmp_path) as datasets:
        version = await datasets.add("support", iter(ITEMS), IMPORT)
        assert (version.reference, version.items, version.dropped) == ("support@1", 5, 0)
        for reference in ("support", "support@1"):
            found = await datasets.find(reference)
            assert found == version
            assert list(datasets.read(found)) == ITEMS
        assert list(await datasets.list()) == [version]


async def test_the_same_items_have_the_same_hash_on_every_machine(tmp_path):
    async with catalogue(tmp_path) as datasets:
        version = await datasets.add("support", ITEMS, IMPORT)
    assert version.hash == hash_items(ITEMS) == HASH


async def test_the_same_again_is_no_new_version(tmp_path):
    async with catalogue(tmp_path) as datasets:
        first = await datasets.add("support", ITEMS, IMPORT)
        assert await datasets.add("support", ITEMS, IMPORT) == first
        others = [
            await datasets.add("support", ITEMS[:-1], IMPORT),
            await datasets.add("support", ITEMS, IMPORT),
            await datasets.add("support", ITEMS, Step("curate", ("support@3",))),
        ]
    assert [version.number for version in others] == [2, 3, 4]
    assert {path.name for path in (tmp_path / "datasets/default/support").iterdir()} == {"1", "2", "3", "4"}


async def test_files_are_for_their_owner_alone_and_tell_what_they_are(tmp_path):
    async with catalogue(tmp_path) as datasets:
        version = await datasets.add("support", ITEMS, IMPORT, [(WHOLE, "why")])
    folder = version.path.parent
    assert {path.name for path in folder.iterdir()} == {"items.parquet", "dropped.parquet", "version.json"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    above = [folder, folder.parent, folder.parent.parent, tmp_path / "datasets"]
    assert {path.stat().st_mode & 0o777 for path in above} == {0o700}
    told = json.loads((folder / "version.json").read_text())
    assert (told["reference"], told["hash"], told["step"]["counts"]) == ("support@1", version.hash, {"kept": 5})


async def test_what_a_step_left_out_is_kept_with_the_reasons(tmp_path):
    counts: dict[str, int] = {}
    left = []

    def kept():
        for item in ITEMS:
            if item is WHOLE:
                left.append((item, "has a picture"))
                counts["has a picture"] = 1
            else:
                yield item

    async with catalogue(tmp_path) as datasets:
        version = await datasets.add("support", kept(), Step("curate", (), {}, counts), left)
        assert (version.items, version.dropped) == (4, 1)
        assert list(datasets.read_dropped(version)) == [(WHOLE, "has a picture")]
        assert dict((await datasets.find("support")).step.counts) == {"has a picture": 1}
        other = await datasets.add("other", ITEMS, IMPORT)
        assert list(datasets.read_dropped(other)) == []


async def test_what_a_filter_left_out_lies_in_what_was_filtered(tmp_path):
    twice = [*ITEMS, ITEMS[1]]
    async with catalogue(tmp_path) as datasets:
        await datasets.add("support", twice, IMPORT)
        few = await datasets.add("few", [ITEMS[1], ITEMS[3]], Step("filter", ("support@1",)))
        left = [(item, "not-wanted") for item in (ITEMS[0], ITEMS[2], ITEMS[4], ITEMS[1])]
        assert list(await datasets.left_out(few)) == left
        assert list(await datasets.left_out(await datasets.find("support"))) == []


async def test_pictures_that_are_on_their_way_into_a_version_are_not_swept_away(tmp_path):
    async with catalogue(tmp_path) as datasets:
        store = await Store.open(None, tmp_path)
        shelf = Shelf(store.files.blobs)

        def pictures():
            kept = shelf.put(b"a picture", "a.png", "image/png")
            store.files.blobs.remove(kept.digest)  # as a program does that just dropped the last one to have them
            yield Item(Kind.IMAGE, media=(kept,))

        (item,) = datasets.read(await datasets.add("pets", pictures(), IMPORT))
        with shelf.open(item.media[0]) as file:
            assert file.read() == b"a picture"
        await store.close()


async def test_nothing_is_left_of_what_failed(tmp_path):
    def torn():
        yield from ITEMS
        raise DataError("row 6 is torn")

    async with catalogue(tmp_path) as datasets:
        with pytest.raises(DataError, match="torn"):
            await datasets.add("support", torn(), IMPORT)
        with pytest.raises(DataError, match=r"a\.jsonl, row 3.*cannot be kept"):
            await datasets.add("support", [text("half of a letter \ud83d", 3)], IMPORT)
        assert list(await datasets.list()) == []
        assert (await datasets.add("support", ITEMS, IMPORT)).number == 1
    assert [path.name for path in (tmp_path / "datasets/default").rglob("*") if path.name.startswith(".")] == []


async def test_two_programs_may_add_at_once(tmp_path):
    async with catalogue(tmp_path) as one, catalogue(tmp_path) as other:
        added = await asyncio.gather(
            *[
                each.add("support", [text(f"{place} {row}")], IMPORT)
                for place, each in enumerate((one, other))
                for row in range(3)
            ]
        )
        assert sorted(version.number for version in added) == [1, 2, 3, 4, 5, 6]
        assert [version.items for version in await one.list()] == [1] * 6


async def test_what_is_not_there_names_what_is(tmp_path):
    async with catalogue(tmp_path) as datasets:
        with pytest.raises(UsageError, match="There is none yet"):
            await datasets.find("support")
        await datasets.add("support", ITEMS, IMPORT)
        with pytest.raises(UsageError, match="There are: support"):
            await datasets.find("suport")
        with pytest.raises(UsageError, match="There are: support@1"):
            await datasets.find("support@2")
    async with catalogue(tmp_path, "another") as datasets:
        with pytest.raises(UsageError, match="There is none yet"):
            await datasets.find("support")


async def test_lineage_goes_back_to_where_items_came_from(tmp_path):
    async with catalogue(tmp_path) as datasets:
        one = await datasets.add("a", ITEMS, IMPORT)
        two = await datasets.add("b", ITEMS[:3], Step("filter", ("a@1",)))
        three = await datasets.add("c", ITEMS[:2], Step("mix", ("a@1", "b@1", "notes.csv")))
        assert [each.reference for each in await datasets.lineage(three)] == ["c@1", "a@1", "b@1"]
        assert list(await datasets.lineage(one)) == [one]
        assert list(await datasets.descendants(one)) == [two, three]
        assert list(await datasets.descendants(three)) == []


async def test_a_version_with_descendants_is_deleted_only_with_them(tmp_path):
    async with catalogue(tmp_path) as datasets:
        one = await datasets.add("a", ITEMS, IMPORT)
        two = await datasets.add("b", ITEMS[:3], Step("filter", ("a@1",)))
        with pytest.raises(UsageError, match="of it were made b@1"):
            await datasets.delete(one)
        assert list(datasets.read(one)) == ITEMS
        assert list(await datasets.delete(one, with_descendants=True)) == [one, two]
        assert list(await datasets.list()) == []
        assert (await datasets.add("a", ITEMS, IMPORT)).reference == "a@2"
    assert not one.path.parent.exists()
    assert not (tmp_path / "datasets/default/b").exists()


async def test_who_learnt_from_it_is_known(tmp_path):
    async with catalogue(tmp_path) as datasets:
        version = await datasets.add("a", ITEMS, IMPORT)
        await datasets.used(version, "bundle", "/models/a")
        assert [(use.version, use.kind, use.user) for use in await datasets.uses([version])] == [
            (("a", 1), "bundle", "/models/a")
        ]


async def test_pictures_stay_as_long_as_a_version_has_them(tmp_path):
    store = await Store.open(None, tmp_path)
    media = Shelf(store.files.blobs).put(io.BytesIO(b"a picture"), "x.png", "image/png")
    place = store.files.blobs.path(media.digest)
    await store.close()
    item = text("what is this?")
    with_picture = type(item)(item.kind, item.messages, media=(Media(media.digest, "image/png", "x.png", media.bytes),))
    async with catalogue(tmp_path) as datasets:
        one = await datasets.add("a", [with_picture], IMPORT)
        two = await datasets.add("b", [with_picture], Step("filter", ("a@1",)))
        await datasets.delete(two)
        assert place.read_bytes() == b"a picture"
        await datasets.delete(one)
        assert not place.exists()


async def test_a_backup_holds_datasets(tmp_path):
    home, other = tmp_path / "home", tmp_path / "other"
    async with catalogue(home, "a project/with more") as datasets:
        version = await datasets.add("support", ITEMS[1:], IMPORT, [(text("b"), "why")])
        store = await Store.open(None, home)
        await backup(store, home, tmp_path / "all.zip")
        await store.close()
    await restore(tmp_path / "all.zip", other, None)
    async with catalogue(other, "a project/with more") as datasets:
        found = await datasets.find("support@1")
        assert (found.hash, list(datasets.read(found))) == (version.hash, ITEMS[1:])
        assert list(datasets.read_dropped(found)) == [(text("b"), "why")]


async def test_a_number_that_another_database_has_used_is_refused(tmp_path):
    async with catalogue(tmp_path) as datasets:
        await datasets.add("support", ITEMS, IMPORT)
    for path in tmp_path.glob("stillhouse.db*"):
        path.unlink()
    async with catalogue(tmp_path) as datasets:
        with pytest.raises(StorageError, match="is there already"):
            await datasets.add("support", ITEMS, IMPORT)


async def test_a_room_beside_the_versions_is_gone_afterwards(tmp_path):
    async with catalogue(tmp_path) as datasets:
        with datasets.room("support") as room:
            (room / "bad_rows.jsonl").write_text("{}")
            version = await datasets.add("support", ITEMS, IMPORT, beside=[room / "bad_rows.jsonl", room / "none"])
        assert (version.path.parent / "bad_rows.jsonl").read_text() == "{}"
        assert [path.name for path in version.path.parent.parent.iterdir()] == ["1"]
        with pytest.raises(UsageError), datasets.room("../a"):
            pass


async def test_who_is_interrupted_stops_soon_and_leaves_nothing(tmp_path):
    read = []

    def endless():
        for row in range(10**9):
            read.append(row)
            yield text(f"question {row}", row)

    async with catalogue(tmp_path) as datasets:
        adding = asyncio.create_task(datasets.add("support", endless(), IMPORT))
        while len(read) < 100:
            await asyncio.sleep(0.01)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        await asyncio.sleep(0.2)
        seen = len(read)
        await asyncio.sleep(0.2)
        assert len(read) == seen
        assert list(await datasets.list()) == []
