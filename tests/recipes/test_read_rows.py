"""Rows from files: parts that do not overlap, and files that cannot be used."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.read_rows import read_rows, spread
from stillhouse.recipes.sections import DataSection, TaskName


def write(path: Path, count: int, start: int = 0) -> Path:
    lines = "".join(
        json.dumps({"text": f"row {at}", "label": "ab"[at % 2]}) + "\n" for at in range(start, start + count)
    )
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    else:
        path.write_text(lines)
    return path


def test_a_tenth_is_held_out_and_tested_on_where_no_other_file_is_given(tmp_path):
    rows = read_rows(DataSection(train=write(tmp_path / "a.jsonl", 40)), TaskName.CLASSIFICATION, 0)
    assert rows.counts == {"train": 36, "selection": 4, "test": 4}
    assert sorted(rows.train + rows.selection) == list(range(40))
    assert rows.test == rows.selection
    assert (rows.inputs[3], rows.answers[3]) == ("row 3", "b")
    again = read_rows(DataSection(train=tmp_path / "a.jsonl"), TaskName.CLASSIFICATION, 0)
    other = read_rows(DataSection(train=tmp_path / "a.jsonl"), TaskName.CLASSIFICATION, 1)
    assert rows == again
    assert rows.selection != other.selection
    assert rows.hash != other.hash


def test_files_of_their_own_are_parts(tmp_path):
    section = DataSection(
        train=write(tmp_path / "a.jsonl.gz", 20),
        selection=write(tmp_path / "b.jsonl", 3, 100),
        test=write(tmp_path / "c.jsonl", 2, 200),
        rows=5,
    )
    rows = read_rows(section, TaskName.EMBEDDING, 0)
    assert rows.counts == {"train": 5, "selection": 3, "test": 2}
    assert [rows.inputs[at] for at in rows.test] == ["row 200", "row 201"]
    assert [rows.inputs[at] for at in rows.selection] == ["row 100", "row 101", "row 102"]
    assert rows.answers is None, "vectors have no labels"


def test_some_rows_come_from_the_whole_of_a_sorted_file():
    labels = np.repeat(np.arange(10), 100)
    assert set(labels[list(spread(range(1000), 25))]) == set(range(10))
    assert spread((4, 7, 9), 8) == (4, 7, 9)
    assert spread((), 8) == ()


def test_conversations_come_as_they_are(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "completion": "b"}\n\n{"text": "c"}\n')
    rows = read_rows(DataSection(train=tmp_path / "a.jsonl"), TaskName.CHAT, 0)
    assert rows.inputs == [{"prompt": "a", "completion": "b"}, {"text": "c"}]


def test_pictures(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((10, 4, 4), dtype=np.uint8), labels=np.arange(10) - 1)
    rows = read_rows(DataSection(train=tmp_path / "a.npz"), TaskName.IMAGE, 0)
    assert rows.inputs[0].shape == (4, 4)
    assert rows.answers[:2] == [None, 0]


@pytest.mark.parametrize(
    ("content", "task", "message"),
    [
        (b'{"text": "a"}\n{"text": ', TaskName.EMBEDDING, r"a\.jsonl, line 2: it is not valid JSON"),
        (b'{"text": "a"}\n[1]\n', TaskName.EMBEDDING, r"line 2: a row is an object"),
        (b'{"txt": "a"}\n', TaskName.EMBEDDING, r"line 1: .*needs a `text`; its keys are txt"),
        (b'{"text": "a", "label": 0.5}\n', TaskName.CLASSIFICATION, r"line 1: a `label` is a name or a number"),
        (b'{"chosen": "a", "rejected": "b"}\n', TaskName.PREFERENCE, r"line 1: The pair has no `prompt`"),
        (b'{"text": "a", "rationale": "b"}\n', TaskName.RATIONALE, r"line 1: A row of rationales needs `prompt`"),
        (b"", TaskName.CHAT, r"a\.jsonl hold no rows"),
        (b'{"text": "a"}\n', TaskName.CHAT, r"has 1 rows; 2 or more"),
        (b"xx", TaskName.IMAGE, r"is no \.npz file"),
    ],
)
def test_what_cannot_be_used_is_named(content, task, message, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_rows(DataSection(train=tmp_path / "a.jsonl"), task, 0)


def test_so_are_missing_files_and_arrays(tmp_path):
    with pytest.raises(UsageError, match=r"none\.jsonl cannot be read: No such file"):
        read_rows(DataSection(train=tmp_path / "none.jsonl"), TaskName.CHAT, 0)
    np.savez(tmp_path / "a.npz", pictures=np.zeros(3))
    with pytest.raises(UsageError, match="has no array `images`; it has pictures"):
        read_rows(DataSection(train=tmp_path / "a.npz"), TaskName.IMAGE, 0)
    np.savez(tmp_path / "b.npz", images=np.zeros((3, 2, 2), dtype=np.uint8), labels=np.zeros(2))
    with pytest.raises(UsageError, match="has 3 images and 2 labels"):
        read_rows(DataSection(train=tmp_path / "b.npz"), TaskName.IMAGE, 0)
    for labels in (np.array(["cat"] * 3), np.array([0.5, 1, 2]), np.zeros((3, 2))):
        np.savez(tmp_path / "c.npz", images=np.zeros((3, 2, 2), dtype=np.uint8), labels=labels)
        with pytest.raises(UsageError, match=r"`labels` of .*c\.npz must be whole numbers"):
            read_rows(DataSection(train=tmp_path / "c.npz"), TaskName.IMAGE, 0)


def test_torn_files_are_told(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n' * 999)[:30])
    with pytest.raises(UsageError, match=r"a\.jsonl\.gz cannot be read"):
        read_rows(DataSection(train=tmp_path / "a.jsonl.gz"), TaskName.EMBEDDING, 0)
    np.savez(tmp_path / "a.npz", images=np.zeros((9, 40, 40), dtype=np.uint8))
    with pytest.raises(UsageError, match=r"a\.npz is an archive, .* no file of JSON lines"):
        read_rows(DataSection(train=tmp_path / "a.npz"), TaskName.EMBEDDING, 0)
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:900])
    with pytest.raises(UsageError, match=r"b\.npz is no \.npz file"):
        read_rows(DataSection(train=tmp_path / "b.npz"), TaskName.IMAGE, 0)
