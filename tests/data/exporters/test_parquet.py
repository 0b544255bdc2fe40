from __future__ import annotations

import duckdb
import pyarrow.parquet

from stillhouse.data.exporters.parquet import write_parquet
from tests.data.exporters.made_items import CHAT, EVERY


def test_plain_columns_for_other_readers(tmp_path):
    out = tmp_path / "a.parquet"
    assert write_parquet(EVERY, out).written == len(EVERY)
    row = duckdb.sql(f"SELECT text, answer, label, subject, tags FROM '{out}' WHERE conversation = 's1'").fetchall()[0]
    assert row == ("where is it", "order", "order", "ada", ["a", "b"])
    table = pyarrow.parquet.read_table(out).to_pylist()
    assert [each["id"] for each in table] == [item.id for item in EVERY]
    assert table[EVERY.index(CHAT)]["language"] == "de"
