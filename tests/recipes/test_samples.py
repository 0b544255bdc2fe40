"""Rows to compare on come from files as users have them, from what a bundle quotes, or are drawn, always the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stillhouse.errors import StillhouseError, UsageError
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples, read_pictures, read_samples, reader_of
from tests.export.opened import subject
from tests.recipes.runs import SYSTEM, chat, write


def test_calls_and_texts_are_read_as_the_bundle_reads_them(plain, tmp_path):
    student = open_student(plain / "student")
    assert student.manifest.prompt.leading[0].content == SYSTEM
    rows = [chat("my thing1 is late", "shipping"), {"text": "where is thing2"}, chat("no answer", None)]
    rows.append({"messages": [{"role": "user", "content": "another prompt altogether"}]})
    samples = read_samples(student, write(tmp_path / "rows.jsonl", rows))
    assert samples.texts == ("my thing1 is late", "where is thing2", "no answer", "another prompt altogether")
    assert all(map(np.array_equal, samples.ids, reader_of(student).ids(samples.texts)))
    assert (samples.rows, samples.origin) == (4, "4 rows of rows.jsonl")


def test_without_a_file_a_bundle_gives_what_it_quotes_and_more_is_drawn(plain):
    student = open_student(plain / "student")
    first, again = draw_samples(student), draw_samples(student)
    assert first.texts == again.texts
    assert first.texts != draw_samples(student, seed=1).texts
    assert "thing" in first.texts[0]
    assert "record.json" in first.origin
    assert min(map(len, first.texts)) > 0


@pytest.mark.parametrize(("kind", "rows"), [("bert-classifier", 200), ("distilbert", 100), ("llama", 8), ("vit", 64)])
def test_models_get_drawn_rows(kind, rows, tmp_path):
    samples = draw_samples(subject(kind, tmp_path))
    assert samples.rows == rows
    if kind == "vit":
        assert samples.pixels.shape == (64, 3, 16, 16)
    else:
        assert len(samples.texts) == rows
        assert max(int(ids.max()) for ids in samples.ids) < 60
        assert len({len(ids) for ids in samples.ids}) > 1


def test_pictures_come_from_the_whole_of_a_sorted_file(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.repeat(np.arange(10, dtype=np.uint8), 400).reshape(-1, 1, 1))
    found = read_pictures(tmp_path / "images.npz")
    assert found.shape == (1_000, 1, 1)
    assert np.bincount(found.ravel()).tolist() == [100] * 10


def test_images_are_read_as_the_model_wants_them(tmp_path):
    student = subject("vit", tmp_path)
    images = np.random.default_rng(0).integers(256, size=(5, 20, 24, 3)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    samples = read_samples(student, tmp_path / "images.npz")
    assert samples.pixels.shape == (5, 3, 16, 16)
    assert -1.001 <= samples.pixels.min() < 0 < samples.pixels.max() <= 1.001


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{broken\n", "line 1: it is not valid JSON"),
        ('{"text": "a"}\n{"words": "b"}\n', "line 2: .*Rows are recorded calls"),
        ("\n\n", "is empty|holds no row"),
    ],
)
def test_wrong_rows_are_named(content, told, tmp_path):
    (tmp_path / "rows.jsonl").write_text(content)
    with pytest.raises(StillhouseError, match=told):
        read_samples(subject("distilbert", tmp_path), tmp_path / "rows.jsonl")


def test_wrong_files_are_told(tmp_path):
    with pytest.raises(UsageError, match="is not there"):
        read_samples(subject("distilbert", tmp_path / "a"), tmp_path / "none.jsonl")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "a"}))
    pictures = subject("vit", tmp_path / "b")
    np.savez(tmp_path / "whole.npz", images=np.zeros((9, 40, 40), dtype=np.uint8))
    (tmp_path / "torn.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:900])
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "none.npz", images=np.zeros((0, 40, 40), dtype=np.uint8))
    with pytest.raises(UsageError, match="holds no pictures"):
        read_samples(pictures, tmp_path / "none.npz")
    for name in ("rows.jsonl", "torn.npz", "empty.npz"):
        with pytest.raises(UsageError, match=r"is no \.npz file"):
            read_samples(pictures, tmp_path / name)
