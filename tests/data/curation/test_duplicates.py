from __future__ import annotations

import numpy as np
import pytest

from stillhouse.data.curation.duplicates import CONFLICT, By, Conflicts, Duplicates, best_first, duplicates, ids_of
from stillhouse.data.items import Facts, Item, Kind, Source


def text(words: str, label: str | None = None, row: int = 0, **more: object) -> Item:
    return Item(Kind.TEXT, ({"role": "user", "content": words},), label=label, source=Source(row=row), **more)


def texts(curated) -> list[str]:
    return [item.text for item in curated.kept]


def test_one_of_each_stays_and_the_reason_names_it():
    rows = [
        text("Where is it?", row=1),
        text("other", row=2),
        text("where  is IT?", row=3),
        text("WHERE IS IT?", row=4),
    ]
    found = duplicates(rows, Duplicates())
    assert texts(found) == ["Where is it?", "other"]
    assert [why for _, why in found.dropped] == [f"duplicate: of {rows[0].id}"] * 2
    assert found.counts["duplicate"] == 2


def test_of_duplicates_the_one_with_most_known_stays():
    graded = text("a", "x", row=2, facts=Facts(grade=0.9))
    rows = [text("a", "x", row=1), graded, text("a", "x", row=3, facts=Facts(grade=0.2))]
    assert [item.source.row for item in duplicates(rows, Duplicates()).kept] == [2]
    true = text("a", row=4, truth="x")
    asked = duplicates([*rows, true], Duplicates(by=By.ASKED))
    assert [item.source.row for item in asked.kept] == [4]


def test_the_same_question_with_another_answer_is_a_duplicate_only_where_that_is_said():
    def answered(words: str) -> Item:
        return Item(Kind.CHAT, ({"role": "user", "content": "q"},), {"role": "assistant", "content": words})

    rows = [answered("one"), answered("two")]
    assert duplicates(rows, Duplicates()).counts["kept"] == 2
    assert duplicates(rows, Duplicates(by=By.ASKED)).counts["kept"] == 1


CONFLICTING = [
    text("q", "a", 1),
    text("Q", "a", 2),
    text("q ", "b", 3),
    text("r", "a", 4),
    text("r", "b", 5),
    text("s", "a", 6),
]


@pytest.mark.parametrize(
    ("what", "kept", "dropped"),
    [
        (Conflicts.TELL, [1, 3, 4, 5, 6], {"duplicate": 1}),
        (Conflicts.MAJORITY, [1, 4, 5, 6], {"duplicate": 1, CONFLICT: 1}),
        (Conflicts.DROP, [6], {CONFLICT: 5}),
    ],
)
def test_labels_that_disagree_are_told(what, kept, dropped):
    found = duplicates(CONFLICTING, Duplicates(conflicts=what))
    assert [item.source.row for item in found.kept] == kept
    assert {name: count for name, count in found.counts.items() if name in ("duplicate", CONFLICT)} == dropped
    assert found.counts["rows with conflicting labels"] == 5
    tagged = [item.source.row for item in found.kept if CONFLICT in item.facts.tags]
    assert tagged == [row for row in kept if row != 6]


def test_nothing_comes_of_nothing():
    assert duplicates([], Duplicates()).counts["rows"] == 0
    assert duplicates(iter([text("a")]), Duplicates()).counts["kept"] == 1


def test_rows_by_group_and_rank():
    assert best_first(np.array([7, 3, 7, 3]), np.array([0.0, 1.0, 2.0, 1.0])).tolist() == [1, 3, 2, 0]
    rows = [text("a", row=1), text("b", row=2)]
    assert ids_of(rows, {1}) == {1: rows[1].id}
