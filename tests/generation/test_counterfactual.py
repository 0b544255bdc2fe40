"""Texts whose label a small edit flips."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from stillhouse.data.items import Item, Kind
from stillhouse.errors import UsageError
from stillhouse.generation.counterfactual import changed, counterfactuals, flips, opening
from stillhouse.generation.inquiry import Inquiry
from tests.generation.rules import Words, asking

EDIT, LOOK = Inquiry("large", Words("edit|{text}|{label}|{target}")), Inquiry("large", Words("look|{text}|{labels}"))
LABELS = ["good", "bad"]


def text(words, label):
    return Item(Kind.TEXT, ({"role": "user", "content": words},), label=label)


ITEMS = [
    text("a fine film with a good cast", "good"),
    text("a good play", "good"),
    text("never so bored by a bad film", "bad"),
    text("the film was good", "good"),
]


def rule(words, _):
    """Swaps the word that decides, but for a film, of which it writes something else, and one that it leaves alone."""
    what, said, *rest = words.split("|")
    if what == "look":
        return {"label": "good" if "good" in said else "bad"}
    if "bored" in said:
        return {"text": said}
    if "cast" in said:
        return {"text": "this says something else altogether, and at length, about a day by the sea"}
    if "was" in said:
        return {"text": "the film was very good"}
    return {"text": said.replace(rest[0], rest[1])}


def test_only_what_is_found_flipped_is_kept(tmp_path):
    with asking(rule, tmp_path) as (rules, ask):
        found = counterfactuals(EDIT, LOOK, flips(ITEMS, LABELS), LABELS, ask, ask)
    assert [(item.text, item.label) for item in found.kept] == [("a bad play", "bad")]
    assert found.kept[0].source.parents == (ITEMS[1].id,)
    assert found.kept[0].facts.metadata["flipped_from"] == "good"
    counts = Counter(reason.split(":")[0] for _, reason in found.dropped)
    assert counts == {"edited too much": 1, "not edited": 1, "not flipped": 1}
    looks = [call for call in rules.asked if call["messages"][0]["content"].startswith("look")]
    assert len(looks) == 2
    assert looks[0]["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"] == LABELS


def test_what_was_said_before_an_edited_text_stays(tmp_path):
    before = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"},
              {"role": "assistant", "content": "Hello!"})  # fmt: skip
    answers = {"answer": {"role": "assistant", "content": "x"}, "rejected": {"role": "assistant", "content": "y"}}
    old = replace(ITEMS[1], messages=(*before, *ITEMS[1].messages), **answers)
    with asking(rule, tmp_path) as (_, ask):
        [found] = counterfactuals(EDIT, LOOK, flips([old], LABELS), LABELS, ask, ask).kept
    assert found.messages == (*before, {"role": "user", "content": "a bad play"})
    assert (found.answer, found.rejected) == (None, None)


def test_each_item_is_flipped_to_other_labels():
    found = flips(ITEMS, ["good", "bad", "fair", "poor"], each=2)
    assert Counter(flip.item.text for flip in found) == dict.fromkeys((item.text for item in ITEMS), 2)
    assert all(flip.target != flip.item.label for flip in found)
    assert [flip.key for flip in found] == [flip.key for flip in flips(ITEMS, ["good", "bad", "fair", "poor"], each=2)]
    assert len(opening(EDIT, found)) == len(found)


def test_items_without_a_label_are_left_alone():
    assert flips([text("x", None)], LABELS) == []


def test_one_label_cannot_be_flipped():
    with pytest.raises(UsageError, match="two of them"):
        flips(ITEMS, ["good"])


def test_changes_are_counted_in_words():
    assert changed("a good play", "a bad play") == pytest.approx(1 / 3)
    assert changed("a good play", "A good play") == 0
