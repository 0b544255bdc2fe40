from __future__ import annotations

import csv

from stillhouse.data.exporters.csv import COLUMNS, write_csv
from tests.data.exporters.made_items import CHAT, EVERY, TOOL


def test_plain_columns_and_messages_where_they_say_more(tmp_path):
    assert write_csv(EVERY, tmp_path / "a").written == len(EVERY)
    with (tmp_path / "a").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    row = rows[EVERY.index(CHAT)]
    assert (row["system"], row["text"], row["answer"], row["grade"]) == ("Sort.", "where is it", "order", "0.5")
    assert (row["messages"], row["tags"]) == ("", '["a","b"]')
    assert "tool_calls" in rows[EVERY.index(TOOL)]["messages"]
