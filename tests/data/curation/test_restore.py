from __future__ import annotations

from dataclasses import replace

from stillhouse.data.curation.restore import chosen, restored
from stillhouse.data.items import Facts, Item, Kind, Method, Source

ROWS = [Item(Kind.TEXT, ({"role": "user", "content": "same"},), source=Source(row=row)) for row in range(6)]
DROPPED = [(ROWS[1], "empty"), (ROWS[4], "refusal: opens so in en"), (ROWS[2], "empty: nothing was asked")]


def test_rows_come_back_by_the_word_of_their_reason_or_their_id():
    back, left = chosen(DROPPED, ["empty"], [])
    assert [item.source.row for item, _ in back] == [1, 2]
    assert left == [DROPPED[1]]
    back, left = chosen(DROPPED, [], [ROWS[4].id[:8]])
    assert [item.source.row for item, _ in back] == [4]
    assert chosen(DROPPED, [], []) == ([], DROPPED)


def test_they_come_back_to_their_places_also_when_facts_changed():
    kept = [ROWS[0], Item(Kind.TEXT, ROWS[3].messages, facts=Facts(tags=("t",)), source=ROWS[3].source), ROWS[5]]
    order = [item.id for item in ROWS]
    found = restored(kept, [ROWS[4], ROWS[1]], order)
    assert [item.source.row for item in found] == [0, 1, 3, 4, 5]


def test_rows_that_a_step_changed_stand_where_those_were_that_they_come_from():
    def labelled(row):
        return replace(row, label="a", source=replace(row.source, method=Method.LABELLED, parents=(row.id,)))

    twice = replace(labelled(ROWS[5]), label="b")
    kept = [labelled(ROWS[0]), labelled(ROWS[2]), labelled(ROWS[5]), twice]
    order = [item.id for item in ROWS]
    found = list(restored(kept, [ROWS[1], ROWS[3]], order))
    assert found == [kept[0], ROWS[1], kept[1], ROWS[3], kept[2], twice]
    order = [ROWS[0].id, ROWS[1].id, ROWS[0].id]
    assert list(restored([kept[0], kept[0]], [ROWS[1]], order)) == [kept[0], ROWS[1], kept[0]]


def test_where_the_order_is_not_known_they_come_last():
    assert [item.source.row for item in restored(ROWS[:2], [ROWS[4]], None)] == [0, 1, 4]
    assert [item.source.row for item in restored(ROWS[:2], [ROWS[4]], [ROWS[1].id, ROWS[0].id])] == [0, 1, 4]


def test_rows_that_were_there_twice_come_back_to_both_places():
    order = [ROWS[0], ROWS[1], ROWS[0], ROWS[2], ROWS[0]]
    assert list(restored([ROWS[0], ROWS[1], ROWS[2]], [ROWS[0], ROWS[0]], [item.id for item in order])) == order
    assert list(restored([ROWS[1]], [ROWS[0], ROWS[2]], [item.id for item in order])) == [ROWS[1], ROWS[2], ROWS[0]]
