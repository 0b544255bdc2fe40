"""Diff: what was added, removed and changed between two versions, whatever their order."""

from __future__ import annotations

from dataclasses import replace

from stillhouse.data.diff import Changed, difference
from stillhouse.data.items import Item, Method, Source
from tests.data.items_for_tests import WHOLE, text, written


def reworded(item: Item, words: str) -> Item:
    return replace(item, messages=({"role": "user", "content": words},))


def test_what_changed_is_told_by_item_and_column(tmp_path):
    old = [text(f"text {row}", row) for row in range(1, 6)]
    graded = replace(old[1], facts=replace(old[1].facts, grade=0.5, split="train"))
    redacted = reworded(old[2], "text [NAME]")
    made = replace(old[3], label="a", source=Source(Method.LABELLED, "label", 4, "teacher", (old[3].id,)))
    new = [text("new", 9), made, redacted, graded, old[0]]
    found = difference(written(tmp_path / "a", old), written(tmp_path / "b", new))
    assert (found.same, found.added, found.removed, found.changed) == (1, 1, 1, 3)
    assert found.first_added == [new[0].id]
    assert found.first_removed == [old[4].id]
    assert found.first_changed == [
        Changed(old[3].id, made.id, ("label", "teacher", "method", "parents")),
        Changed(old[2].id, redacted.id, ("messages",)),
        Changed(graded.id, graded.id, ("grade", "split")),
    ]
    assert found.fields == {"label": 1, "teacher": 1, "method": 1, "parents": 1, "messages": 1, "grade": 1, "split": 1}


def test_the_order_does_not_count(tmp_path):
    items = [WHOLE, text("a", 1), text("b", 2)]
    found = difference(written(tmp_path / "a", items), written(tmp_path / "b", items[::-1]))
    assert (found.same, found.added, found.removed, found.changed) == (3, 0, 0, 0)


def test_items_that_are_there_twice_are_two(tmp_path):
    items = [text("a", 1), text("b", 2)]
    once, twice = written(tmp_path / "a", items), written(tmp_path / "b", [*items, *items])
    found = difference(once, twice)
    assert (found.same, found.added, found.removed, found.changed) == (2, 2, 0, 0)
    assert found.first_added == [item.id for item in items]
    found = difference(twice, twice)
    assert (found.same, found.added, found.removed, found.changed) == (4, 0, 0, 0)


def test_where_there_is_a_choice_nothing_is_guessed(tmp_path):
    old = [text("one", 1), text("other", 1)]
    new = [text("reworded", 1)]
    found = difference(written(tmp_path / "a", old), written(tmp_path / "b", new))
    assert (found.same, found.added, found.removed, found.changed) == (0, 1, 2, 0)


def test_the_first_few_are_named(tmp_path):
    old, new = written(tmp_path / "a", []), written(tmp_path / "b", [text(f"{row}", row) for row in range(20)])
    found = difference(old, new, most=3)
    assert (found.added, len(found.first_added)) == (20, 3)
