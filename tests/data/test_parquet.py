"""Parquet: items come back as they went in, in their order; others read the file without us."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from stillhouse.data.items import hash_items
from stillhouse.data.parquet import ParquetWriter, connect, read_items, read_reasons
from stillhouse.errors import DataError
from tests.data.items_for_tests import WHOLE, text, written


def test_items_come_back_in_their_order(tmp_path):
    items = [WHOLE, *[text(f"number {row}", row) for row in range(25_000)], WHOLE]
    path = written(tmp_path / "a", items)
    assert hash_items(read_items(path)) == hash_items(items)
    some = np.array([0, 1, 9_999, 10_000, 25_001])
    assert list(read_items(path, some)) == [items[row] for row in some]
    many = np.arange(0, 25_002, 2)
    assert hash_items(read_items(path, many)) == hash_items(items[::2])
    assert list(read_items(path, np.empty(0, np.int64))) == []


def test_an_empty_file_has_its_columns(tmp_path):
    path = written(tmp_path / "a", [])
    assert list(read_items(path)) == []
    assert duckdb.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone() == (0,)


def test_others_read_it_without_us(tmp_path):
    path = written(tmp_path / "a", [WHOLE, text("b")])
    query = "SELECT text, tags, metadata->>'a', created, grade FROM read_parquet(?) ORDER BY \"row\""
    rows = duckdb.execute(query, [str(path)]).fetchall()
    assert rows == [("hé 🙂 \0 x", ["x", "", "y z"], "ü", 5, 0.5), ("b", None, None, None, None)]


def test_a_quote_in_a_folder_is_a_quote(tmp_path):
    assert list(read_items(written(tmp_path / "it's", [WHOLE]))) == [WHOLE]


def test_reasons_stand_beside_what_was_left_out(tmp_path):
    with connect() as connection:
        writer = ParquetWriter(connection, reasons=True)
        writer.add(WHOLE, "a duplicate")
        writer.add(text("b"), "too short")
        writer.finish(tmp_path / "dropped.parquet")
    assert list(read_reasons(tmp_path / "dropped.parquet")) == [(WHOLE, "a duplicate"), (text("b"), "too short")]


def test_a_large_text_goes_through(tmp_path):
    item = text("x" * 3_000_000)
    assert list(read_items(written(tmp_path / "a", [item] * 20))) == [item] * 20


def test_a_file_that_is_gone_or_damaged_is_told(tmp_path):
    with pytest.raises(DataError, match="is gone"):
        list(read_items(tmp_path / "items.parquet"))
    (tmp_path / "items.parquet").write_bytes(b"hello" * 100)
    with pytest.raises(DataError, match=r"items\.parquet"):
        list(read_items(tmp_path / "items.parquet"))


def test_nothing_is_looked_up_elsewhere():
    with connect() as connection:
        query = "SELECT current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')"
        assert connection.execute(query).fetchone() == (False, False)
