"""Legal holds and versions: what has items on hold is not destroyed, what was left out of it included."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.data.catalogue import Catalogue
from stillhouse.data.held import refuse_held
from stillhouse.data.items import Facts, Method, Source
from stillhouse.data.review import items_of_review, queue_of, settled
from stillhouse.data.versions import Step
from stillhouse.errors import OnHold
from stillhouse.storage.feedback_records import StoredFeedback
from stillhouse.storage.records import StoredCompletion
from stillhouse.storage.store import Store
from tests.data.items_for_tests import text

IMPORT = Step("import", ("a.jsonl",))
CALL = StoredCompletion("chatcmpl-7", 1, "m", "m", "", {}, b'{"choices": []}', b"[]", "eve")


def about(subject: str, row: int):
    return text(f"words of {subject}", row, Facts(subject=subject))


def of_call(origin: str):
    return replace(text("a call", 9), source=Source(origin=origin))


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(None, tmp_path)
    await store.completions.add("default", CALL)
    yield store
    await store.close()


@pytest.fixture
def datasets(store, tmp_path) -> Catalogue:
    return Catalogue(store, tmp_path, "default")


async def test_a_version_with_items_of_a_held_subject_stays_until_the_hold_ends(store, datasets):
    one = await datasets.add("a", [about("ada", 1), about("bob", 2)], IMPORT)
    two = await datasets.add("b", [about("bob", 2)], Step("filter", ("a@1",)), [(about("ada", 1), "not wanted")])
    hold = await store.holds.place("default", "case 7", "terminal", subject="ada")
    for version, with_descendants in ((two, False), (one, True)):
        for attempt in (datasets.going, datasets.delete):
            with pytest.raises(OnHold, match=rf"has items on hold, and stays\. .*{hold.id}: case 7"):
                await attempt(version, with_descendants)
    assert list(datasets.read(one)) == [about("ada", 1), about("bob", 2)]
    await store.holds.release(hold.id, "terminal")
    assert list(await datasets.delete(one, with_descendants=True)) == [one, two]


async def test_holds_on_others_and_in_other_projects_keep_nothing(store, datasets):
    one = await datasets.add("a", [about("ada", 1)], IMPORT)
    await store.holds.place("default", "case 7", "terminal", subject="bob")
    await store.holds.place("default", "case 8", "terminal", completion=CALL.id)
    await store.holds.place("another", "case 9", "terminal")
    assert len(await refuse_held(store, "default", [one])) == 2
    assert list(await datasets.delete(one)) == [one]


@pytest.mark.parametrize("item", [of_call(CALL.id), of_call("fb_1"), about("eve", 1)])
async def test_items_of_a_held_call_of_feedback_on_it_and_of_its_subject_are_held(store, datasets, item):
    await store.feedback.add("default", StoredFeedback("fb_1", 5, CALL.id, b'{"rating": "up"}'))
    one = await datasets.add("a", [item], IMPORT)
    await store.holds.place("default", "case 7", "terminal", completion=CALL.id)
    with pytest.raises(OnHold, match="A legal hold on the call chatcmpl-7"):
        await datasets.delete(one)


async def test_what_was_made_of_a_held_call_by_whatever_steps_is_held(store, datasets):
    first, other = of_call(CALL.id), of_call("chatcmpl-8")
    votes = [replace(other, label="a", source=Source(Method.LABELLED, "vote/1", parents=(other.id, first.id)))]
    last = [replace(text("new words"), source=Source(Method.SYNTHETIC, "evolve/1", parents=(votes[0].id,)))]
    await datasets.add("calls", [first, other], IMPORT)
    made = [await datasets.add("votes", votes, IMPORT), await datasets.add("evolved", last, IMPORT)]
    free = await datasets.add("free", [replace(text("others"), source=Source(parents=(other.id,)))], IMPORT)
    hold = await store.holds.place("default", "case 7", "terminal", completion=CALL.id)
    for version in made:
        with pytest.raises(OnHold, match="A legal hold on the call chatcmpl-7"):
            await datasets.delete(version)
    assert list(await datasets.delete(free)) == [free]
    await store.holds.release(hold.id, "terminal")
    assert list(await datasets.delete(made[1])) == [made[1]]


@pytest.mark.parametrize(
    "said",
    [{"verdict": "right"}, {"verdict": "wrong", "label": "b"}, {"verdict": "wrong", "correction": {"content": "b"}}],
)
async def test_what_a_review_made_of_a_held_call_is_held_when_nothing_else_of_it_is_left(store, datasets, said):
    item = replace(of_call(CALL.id), label="a", soft={"a": 0.5, "b": 0.5})
    [review] = queue_of(lambda: iter([item]), "calls@1", 1)
    one = await datasets.add("reviewed", items_of_review(settled(review, said, skips=False)), IMPORT)
    await store.holds.place("default", "case 7", "terminal", completion=CALL.id)
    with pytest.raises(OnHold, match="A legal hold on the call chatcmpl-7"):
        await datasets.delete(one)


async def test_a_hold_on_the_project_keeps_every_version(store, datasets):
    one = await datasets.add("a", [text("nobody's")], IMPORT)
    await store.holds.place("default", "audit", "terminal")
    with pytest.raises(OnHold, match=r"a@1 has items on hold.*the project default"):
        await datasets.delete(one)


async def test_a_hold_that_comes_between_looking_and_deleting_is_kept(store, datasets):
    one = await datasets.add("a", [about("ada", 1)], IMPORT)
    looked_at = await refuse_held(store, "default", [one])
    await store.holds.place("default", "case 7", "terminal", subject="ada")
    with pytest.raises(OnHold, match="case 7"):
        await store.datasets.delete("default", [("a", 1)], "terminal", looked_at)
    assert list(datasets.read(await datasets.find("a@1"))) == [about("ada", 1)]


async def test_a_hold_that_comes_between_looking_and_burying_is_kept(store, datasets):
    one = await datasets.add("a", [about("ada", 1)], IMPORT)
    looked_at = await refuse_held(store, "default", [one])
    hold = await store.holds.place("default", "case 7", "terminal", subject="ada")
    with pytest.raises(OnHold, match="case 7"):
        await datasets.bury(one, None, looked_at, {})
    assert list(datasets.read(await datasets.find("a@1"))) == [about("ada", 1)]
    await store.holds.release(hold.id, "terminal")
    assert (await datasets.bury(one, None, looked_at, {"erasure": "e"})).settings["erasure"] == "e"
    assert not one.path.parent.exists()
