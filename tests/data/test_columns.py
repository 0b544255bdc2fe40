"""Columns: an item is the same after it was a row."""

from __future__ import annotations

import pytest

from stillhouse.data.columns import COLUMNS, READ, from_row, to_row
from stillhouse.data.items import Item, Kind
from tests.data.items_for_tests import WHOLE, text

SOME = [WHOLE, text("hello"), Item(Kind.IMAGE), Item(Kind.TEXT, label="")]


@pytest.mark.parametrize("item", SOME, ids=lambda item: item.kind)
def test_an_item_is_the_same_after_it_was_a_row(item):
    row = dict(zip(COLUMNS, to_row(item, 4), strict=True))
    assert from_row([row[name] for name in READ]) == item
    assert (row["row"], row["id"], row["length"]) == (4, item.id, len(item.text))


def test_what_people_look_for_stands_in_columns_of_its_own():
    row = dict(zip(COLUMNS, to_row(WHOLE, 0), strict=True))
    assert row["text"] == "hé 🙂 \0 x"
    assert row["answer"] == ""
    assert row["tags"] == ["x", "", "y z"]
    assert row["metadata"] == '{"a":"ü","b":"1\\n2"}'
    assert dict(zip(COLUMNS, to_row(text("a"), 0), strict=True))["answer"] is None
