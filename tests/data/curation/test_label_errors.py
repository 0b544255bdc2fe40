from __future__ import annotations

import random

import pytest

from stillhouse.data.curation.label_errors import MARGIN, SUGGESTED, SUSPECT, LabelErrors, Probabilities, label_errors
from stillhouse.data.items import Item, Kind, Source
from stillhouse.errors import DataError, UsageError

TOPICS = {
    "sport": "goal match team striker league",
    "money": "stock market share profit bank",
    "space": "planet orbit comet star",
}


def text(words: str, label: str | None, row: int = 0, **more: object) -> Item:
    return Item(Kind.TEXT, ({"role": "user", "content": words},), label=label, source=Source(row=row), **more)


def rows(count: int = 400, wrong: int = 20) -> tuple[list[Item], set[int]]:
    rng = random.Random(0)
    made, planted = [], set(rng.sample(range(count), wrong))
    for row in range(count):
        topic = rng.choice(list(TOPICS))
        words = " ".join(rng.choices([*TOPICS[topic].split(), "the", "of"], k=8)) + f" {row}"
        label = rng.choice([each for each in TOPICS if each != topic]) if row in planted else topic
        made.append(text(words, label, row))
    return made, planted


def test_planted_errors_are_tagged_with_the_likelier_label():
    items, planted = rows()
    found = label_errors(items, LabelErrors())
    suspects = [item for item in found.kept if SUSPECT in item.facts.tags]
    hits = {item.source.row for item in suspects} & planted
    assert len(hits) >= 0.8 * len(planted)
    assert len(hits) >= 0.9 * len(suspects)
    assert found.counts["kept"] == 400
    assert found.counts["suspects"] == found.counts["changed"] == len(suspects)
    one = suspects[0]
    assert one.facts.metadata[SUGGESTED] in TOPICS
    assert 0 < float(one.facts.metadata[MARGIN]) <= 1
    listed = [each["margin"] for each in found.found["suspects"]]
    assert listed == sorted(listed, reverse=True)


def test_they_go_where_that_is_wanted():
    items, _ = rows()
    told = label_errors(items, LabelErrors())
    gone = label_errors(items, LabelErrors(drop=True))
    assert gone.counts[SUSPECT] == told.counts["suspects"]
    assert all(why.startswith(f"{SUSPECT}: likelier ") for _, why in gone.dropped)


def test_equal_texts_do_not_speak_for_each_others_mistake():
    items, _ = rows(wrong=0)
    twins = [text("goal match team striker league", "money", 1_000 + copy) for copy in range(6)]
    found = label_errors([*items, *twins], LabelErrors())
    assert sum(SUSPECT in item.facts.tags for item in found.kept if item.source.row >= 1_000) == 6


def test_rare_labels_are_not_judged():
    items, _ = rows(wrong=0)
    found = label_errors([*items, *(text(f"goal match {row}", "rare", 900 + row) for row in range(4))], LabelErrors())
    assert found.counts["rows of labels too rare to judge"] == 4
    assert not any(SUSPECT in item.facts.tags for item in found.kept if item.label == "rare")


def test_few_different_answers_are_labels():
    items, planted = rows()
    chats = [
        Item(Kind.CHAT, item.messages, {"role": "assistant", "content": str(item.label)}, source=item.source)
        for item in items
    ]
    found = label_errors(chats, LabelErrors())
    assert len({item.source.row for item in found.kept if SUSPECT in item.facts.tags} & planted) >= 0.8 * len(planted)
    with pytest.raises(UsageError, match="too many different answers"):
        label_errors(
            [Item(Kind.CHAT, item.messages, {"role": "assistant", "content": item.text}) for item in items],
            LabelErrors(),
        )


def test_the_teachers_own_probabilities():
    def soft(label: str, share: float, row: int) -> Item:
        other = "b" if label == "a" else "a"
        return text(f"text {row}", label, row, soft={label: share, other: 1 - share})

    items = [soft("ab"[row % 2], 0.9, row) for row in range(40)]
    items[7] = soft("b", 0.1, 7)
    found = label_errors(items, LabelErrors(probabilities=Probabilities.SOFT))
    assert [item.source.row for item in found.kept if SUSPECT in item.facts.tags] == [7]
    with pytest.raises(DataError, match="Row 41"):
        label_errors([*items, text("bare", "a")], LabelErrors(probabilities=Probabilities.SOFT))


def test_what_cannot_be_judged_is_refused():
    for items in ([], [text("a", "x")] * 9):
        with pytest.raises(UsageError, match="two labels or more"):
            label_errors(items, LabelErrors())
    for wrong in ({"folds": 1}, {"fewest": 1}):
        with pytest.raises(UsageError):
            LabelErrors(**wrong)
