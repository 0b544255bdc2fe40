from __future__ import annotations

import json

import duckdb
import pyarrow as pa
import pytest

from stillhouse.data.importers.huggingface import read_huggingface
from stillhouse.errors import StillhouseError, TrafficError
from tests.data.importers.reading import picture, read

INFO = {"features": {"text": {"_type": "Value"}, "label": {"_type": "ClassLabel", "names": ["no", "yes"]}}}


def save(folder, table, info=INFO):
    """As `datasets.save_to_disk` does: a stream of Arrow, its features, and the names of its files."""
    folder.mkdir(parents=True)
    name = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
        out.write_table(table, max_chunksize=2)
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}], "_split": "train"}))


def test_a_saved_dataset_with_the_names_of_its_labels(tmp_path):
    save(tmp_path / "set" / "train", pa.table({"text": ["a", "b", "c"], "label": [1, 0, 1], "n": [1, 2, 3]}))
    save(tmp_path / "set" / "test", pa.table({"text": ["d"], "label": [-1], "n": [4]}))
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    items, bad = read(read_huggingface, tmp_path / "set")
    assert not bad.count
    found = [(item.text, item.label, item.facts.split) for item in items]
    assert found == [("d", "-1", "test"), ("a", "yes", "train"), ("b", "no", "train"), ("c", "yes", "train")]
    assert items[1].facts.metadata == {"n": "1"}
    save(tmp_path / "alone", pa.table({"text": ["a"], "label": [1]}))
    assert [item.label for item in read(read_huggingface, tmp_path / "alone")[0]] == ["yes"]


def test_pictures_within_rows_are_kept_as_files(tmp_path):
    rows = [
        {"bytes": picture(), "path": "x/a.png"},
        {"bytes": b"hello", "path": "b.png"},
        {"bytes": None, "path": "c.png"},
    ]
    save(tmp_path / "set", pa.table({"image": rows, "label": [1, 1, 1]}))
    [item], bad = read(read_huggingface, tmp_path / "set")
    assert (item.media[0].name, item.media[0].type, item.label) == ("a.png", "image/png", "yes")
    assert "b.png is no picture" in bad.listed()
    assert "lies elsewhere: c.png" in bad.listed()


def test_parquet_by_name_of_split(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    answer = "CASE WHEN i % 2 = 0 THEN [{'role': 'assistant', 'content': 'x'}] END"
    query = f"SELECT 'q' || i AS question, {answer} AS answer FROM range(2500) t(i)"
    duckdb.sql(f"COPY ({query}) TO '{folder / 'train-00000-of-00001.parquet'}' (FORMAT parquet)")
    items, bad = read(read_huggingface, folder)
    assert not bad.count
    assert [item.text for item in items] == [f"q{number}" for number in range(2_500)]
    assert {item.facts.split for item in items} == {"train"}
    assert (items[0].words, items[1].answer) == ("x", None)
    assert len(read(read_huggingface, folder / "train-00000-of-00001.parquet")[0]) == 2_500


def test_what_cannot_be_read_is_said(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(TrafficError, match="neither Parquet nor Arrow"):
        read(read_huggingface, folder)
    for name, data in (("a.parquet", b"PAR1torn"), ("b.parquet", b"hello")):
        (folder / name).write_bytes(data)
        with pytest.raises(StillhouseError):
            read(read_huggingface, folder / name)
    (folder / "state.json").write_text("{}")
    with pytest.raises(TrafficError, match=r"state\.json does not name"):
        read(read_huggingface, folder)


def test_files_that_are_torn_or_missing_are_named(tmp_path):
    whole = tmp_path / "whole.parquet"
    duckdb.sql("SELECT i::VARCHAR AS text FROM range(9000) t(i)").write_parquet(str(whole))
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(TrafficError, match=r"torn\.parquet cannot be read: .* Is it complete"):
        read(read_huggingface, torn)
    save(tmp_path / "set", pa.table({"text": ["a"], "label": [1]}))
    (tmp_path / "set" / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(TrafficError, match=r"names data-00000-of-00001\.arrow, which is not there"):
        read(read_huggingface, tmp_path / "set")
