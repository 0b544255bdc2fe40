from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.data.curation.catalog import Means, curate
from stillhouse.data.curation.curation import STEPS, Curation
from stillhouse.data.curation.decontaminate import Decontaminate
from stillhouse.data.curation.lengths import Lengths
from stillhouse.data.items import Facts, Item, Kind, Source, hash_items
from stillhouse.errors import UsageError

WORDS = st.sampled_from([
    "", "a", "Where is my card", "where is my  CARD", "where is my card please", "{{name}}", "schÃ¶n", "🙂",
    "I'm sorry, but I can't help with that.", "so it goes " * 12, "the river rose above its banks in the night",
])  # fmt: skip
ITEMS = st.builds(
    lambda asked, said, label, row, grade: Item(
        Kind.CHAT if said is not None else Kind.TEXT,
        ({"role": "user", "content": asked},),
        {"role": "assistant", "content": said} if said is not None else None,
        label=label,
        facts=Facts(grade=grade),
        source=Source(row=row),
    ),
    WORDS,
    st.none() | WORDS,
    st.sampled_from([None, "a", "b"]),
    st.integers(0, 3),
    st.sampled_from([None, 0.2, 0.9]),
)
TEST_SET = (Item(Kind.TEXT, ({"role": "user", "content": "where is my card"},)),)
OFFLINE = [step for step in STEPS if step not in ("languages", "label-errors", "balance")]
"""Steps that any rows will do for, and that open no model."""


@settings(max_examples=60)
@given(st.lists(ITEMS, max_size=14), st.lists(st.sampled_from(OFFLINE), min_size=1, unique=True))
def test_kept_and_dropped_are_all_and_the_same_rows_give_the_same(rows, steps):
    taken = curate(rows, Curation(steps=tuple(steps)), Means(tests={"t": TEST_SET}))
    kept, dropped = list(taken.kept), list(taken.dropped)
    assert Counter(item.id for item in [*kept, *(item for item, _ in dropped)]) == Counter(item.id for item in rows)
    again = curate(iter(rows), Curation(steps=tuple(steps)), Means(tests={"t": TEST_SET}))
    assert hash_items(again.kept) == hash_items(kept)
    assert [why for _, why in again.dropped] == [why for _, why in dropped]
    counts = taken.counts
    words = sum(count for name, count in counts.items() if name not in ("rows", "kept", "dropped"))
    assert counts["rows"] == len(rows)
    assert counts["kept"] == len(kept)
    assert counts["dropped"] == words == len(dropped)


@settings(max_examples=30)
@given(st.lists(ITEMS, min_size=1, max_size=14))
def test_what_was_curated_is_left_alone_by_the_same_steps(rows):
    steps = Curation(steps=("duplicates", "near-duplicates", "refusals", "broken"))
    once = curate(rows, steps)
    assert curate(tuple(once.kept), steps).counts["dropped"] == 0


def test_each_step_sees_what_the_one_before_kept():
    rows = [
        Item(Kind.TEXT, ({"role": "user", "content": words},), source=Source(row=row))
        for row, words in enumerate(["hello", "Hello", "hi"])
    ]
    told: list[str] = []
    taken = curate(rows, Curation(steps=("duplicates", "lengths"), lengths=Lengths(least_asked=3)), None, told.append)
    assert told == ["duplicates", "lengths"]
    assert [each.counts["rows"] for each in taken.steps] == [3, 2]
    assert taken.counts == {"rows": 3, "kept": 1, "dropped": 2, "duplicate": 1, "too-short": 1}


def test_a_test_set_is_needed_to_look_for_one():
    with pytest.raises(UsageError, match="needs the test sets"):
        curate([], Curation(steps=("decontaminate",)))
    found = curate(
        TEST_SET, Curation(steps=("decontaminate",), decontaminate=Decontaminate()), Means(tests={"t": TEST_SET})
    )
    assert found.counts["test-set"] == 1


def test_every_step_can_be_taken():
    rows = [
        Item(
            Kind.TEXT,
            ({"role": "user", "content": f"where is my card number {row}"},),
            label="ab"[row % 2],
            source=Source(row=row),
        )
        for row in range(20)
    ]
    for step in STEPS:
        assert curate(rows, Curation(steps=(step,)), Means(tests={"t": TEST_SET})).counts["rows"] == 20
