from __future__ import annotations

from stillhouse.data.curation.curated import Change, Curated, again, reason_word, tagged
from stillhouse.data.items import Facts, Item, Kind


def item(text: str, **facts: object) -> Item:
    return Item(Kind.TEXT, ({"role": "user", "content": text},), facts=Facts(**facts))


ROWS = [item("a"), item("b", tags=("old",), metadata={"x": "1"}), item("c")]


def curated(rows) -> Curated:
    changes = {1: Change(language="de", tag="new", metadata={"y": "2"}), 2: Change(language="fr")}
    return Curated("step", rows, 3, {2: "too-short: 1", 0: "word"}, changes, {"seen": 7})


def test_kept_and_dropped_are_all_and_changes_are_made():
    found = curated(ROWS)
    assert [each.text for each in found.kept] == ["b"]
    assert [each.text for each in found.kept] == ["b"]
    assert [(each.text, why) for each, why in found.dropped] == [("a", "word"), ("c", "too-short: 1")]
    kept = next(iter(found.kept))
    assert kept.facts == Facts(language="de", tags=("old", "new"), metadata={"x": "1", "y": "2"})
    assert tagged(kept, "new")
    assert kept.id == ROWS[1].id


def test_counts_say_all_that_happened():
    assert curated(ROWS).counts == {"rows": 3, "kept": 1, "changed": 1, "too-short": 1, "word": 1, "seen": 7}


def test_a_change_leaves_alone_what_it_does_not_name_and_tags_once():
    facts = Facts(language="en", tags=("t",))
    assert Change(tag="t").of(facts) == facts


def test_an_iterator_is_held_and_what_can_be_read_again_is_not():
    assert again(ROWS) is ROWS
    held = again(iter(ROWS))
    assert list(held) == list(held) == ROWS


def test_the_word_of_a_reason():
    assert [reason_word(each) for each in ("refusal: opens so in en", "empty")] == ["refusal", "empty"]
