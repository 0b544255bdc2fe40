from __future__ import annotations

import random

import pytest

from stillhouse.data.curate import likeness, normalise, shingles
from stillhouse.data.curation.duplicates import By
from stillhouse.data.curation.near_duplicates import NearDuplicates, near
from stillhouse.data.items import Item, Kind, Source
from stillhouse.errors import UsageError

WORDS = [f"word{number}" for number in range(300)]
LONG = "i was charged twice for the same transfer to my friend last monday evening"


def text(words: str, label: str | None = None, row: int = 0, system: str = "") -> Item:
    rules = ({"role": "system", "content": system},) if system else ()
    return Item(Kind.TEXT, (*rules, {"role": "user", "content": words}), label=label, source=Source(row=row))


def test_the_reason_names_the_row_that_stays_and_how_alike_it_is():
    rows = [text(LONG, row=1), text(f"{LONG} please", row=2), text("something else entirely", row=3)]
    found = near(rows, NearDuplicates())
    assert [item.source.row for item in found.kept] == [1, 3]
    share = likeness(shingles(normalise(LONG)), shingles(normalise(f"{LONG} please")))
    assert [why for _, why in found.dropped] == [f"near-duplicate: {share:.2f} like {rows[0].id}"]


def test_every_dropped_row_reaches_the_threshold_with_one_that_stays():
    words = WORDS[:60]
    rows = [text(" ".join(words[start : start + 30]), row=start) for start in range(0, 24, 2)]
    found = near(rows, NearDuplicates(threshold=0.7))
    kept = [shingles(item.text) for item in found.kept]
    dropped = [shingles(item.text) for item, _ in found.dropped]
    assert len(kept) > 1, "the ends of the chain are not alike"
    assert dropped
    assert all(max(likeness(one, other) for other in kept) >= 0.7 for one in dropped)


def test_planted_near_duplicates_are_found_among_many():
    rng = random.Random(0)
    own = [" ".join(rng.choices(WORDS, k=rng.randint(12, 30))) for _ in range(1_000)]
    rows = [
        text(each, row=number) for number, each in enumerate([*own, *(f"{each} {each.split()[0]}" for each in own)])
    ]
    found = near(rows, NearDuplicates())
    assert found.counts == {
        "rows": 2_000, "kept": 1_000, "changed": 0, "near-duplicate": 1_000, "near duplicates with another label": 0
    }  # fmt: skip
    assert [item.source.row for item in found.kept] == list(range(1_000))


def test_other_labels_instructions_and_turns_are_no_duplicates():
    rows = [text(LONG, "a"), text(f"{LONG} now", "b")]
    found = near(rows, NearDuplicates())
    assert (found.counts["kept"], found.counts["near duplicates with another label"]) == (2, 2)
    assert near(rows, NearDuplicates(across_labels=True)).counts["kept"] == 1
    assert near([text(LONG), text(LONG, system="be kind")], NearDuplicates()).counts["kept"] == 2
    turns = Item(Kind.CHAT, ({"role": "user", "content": LONG}, {"role": "user", "content": "now"}))
    assert near([text(LONG), turns], NearDuplicates()).counts["kept"] == 2


def test_answers_count_where_that_is_said():
    def answered(words: str) -> Item:
        return Item(Kind.CHAT, ({"role": "user", "content": LONG},), {"role": "assistant", "content": words})

    rows = [answered(" ".join(WORDS[:20])), answered(" ".join(WORDS[50:90]))]
    assert near(rows, NearDuplicates()).counts["kept"] == 1
    assert near(rows, NearDuplicates(by=By.WHOLE)).counts["kept"] == 2


def test_rows_without_words_stay():
    assert near([text(""), text(""), text("🙂"), text("🙂")], NearDuplicates()).counts["kept"] == 3
    assert near([], NearDuplicates()).counts["kept"] == 0


def test_a_threshold_that_means_nothing_is_refused():
    with pytest.raises(UsageError, match=r"between 0\.3 and 1"):
        NearDuplicates(threshold=80)


def test_a_short_answer_that_many_rows_give_is_a_label_where_there_is_none():
    def answered(words: str, answer: str, row: int) -> Item:
        said = ({"role": "user", "content": words},)
        return Item(Kind.CHAT, said, answer={"role": "assistant", "content": answer}, source=Source(row=row))

    def kept(rows: list[Item], **settings: bool) -> list[int]:
        return [item.source.row for item in near(rows, NearDuplicates(**settings)).kept if item.source.row < 4]

    rows = [answered(LONG, "refund", 1), answered(f"{LONG} please", "transfer", 2), answered(f"{LONG}!", "Refund", 3)]
    others = [answered(f"{word} " * 9, answer, 4) for word in WORDS[:5] for answer in ("refund", "transfer")]
    assert kept([*rows, *others]) == [1, 2]
    assert kept([*rows, *others], across_labels=True) == [1]
    assert kept(rows) == [1], "an answer that nobody else gives says nothing of a class"
    assert kept([answered(LONG, "Back soon. " * 9, 1), *([answered(f"{LONG} please", "All well. " * 9, 2)] * 6)]) == [1]
