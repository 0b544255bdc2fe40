"""Rows are kept out by their content."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.held_out import hold_out, read_parts
from stillhouse.recipes.read_rows import read_rows
from stillhouse.recipes.sections import DataSection, TaskName
from tests.recipes.runs import write


def rows(count: int) -> list[dict]:
    return [{"text": f"request number {at}", "label": f"label {at % 3}"} for at in range(count)]


def parts(tmp_path, lines, seed=0):
    data = DataSection(train=write(tmp_path / f"rows{seed}.jsonl", lines))
    folder = tmp_path / f"parts{seed}{len(lines)}"
    folder.mkdir()
    hold_out(data, TaskName.CLASSIFICATION, seed, folder, True)
    learnt, calibration = read_parts(data, TaskName.CLASSIFICATION, seed, folder)
    return read_rows(learnt, TaskName.CLASSIFICATION, seed), calibration


def test_every_row_is_in_one_part_with_its_label(tmp_path):
    found, calibration = parts(tmp_path, rows(400))
    learnt = [found.inputs[row] for row in (*found.train, *found.selection)]
    tested = [found.inputs[row] for row in found.test]
    heard = [calibration.inputs[row] for row in calibration.selection]
    assert sorted(learnt + tested + heard) == sorted(row["text"] for row in rows(400))
    assert 25 < len(heard) < 80
    assert 65 < len(tested) < 140
    labels = {row["text"]: row["label"] for row in rows(400)}
    assert all(labels[text] == answer for text, answer in zip(calibration.inputs, calibration.answers, strict=True))


def test_equal_rows_stay_together(tmp_path):
    found, calibration = parts(tmp_path, rows(60) * 5)
    sets = [
        {found.inputs[row] for row in (*found.train, *found.selection)},
        {found.inputs[row] for row in found.test},
        set(calibration.inputs),
    ]
    assert sum(map(len, sets)) == 60


def test_another_seed_keeps_out_others(tmp_path):
    one, other = (parts(tmp_path, rows(200), seed)[0] for seed in (0, 1))
    assert {one.inputs[row] for row in one.test} != {other.inputs[row] for row in other.test}


def test_pictures_keep_their_labels(tmp_path):
    images = np.random.default_rng(0).integers(255, size=(80, 4, 4), dtype=np.uint8)
    labels = np.arange(80) % 5 - 1
    np.savez(tmp_path / "rows.npz", images=images, labels=labels)
    data = DataSection(train=tmp_path / "rows.npz")
    hold_out(data, TaskName.IMAGE, 0, tmp_path, True)
    learnt, calibration = read_parts(data, TaskName.IMAGE, 0, tmp_path)
    assert learnt.test == tmp_path / "test.npz"
    for image, answer in zip(calibration.inputs, calibration.answers, strict=True):
        known = int(labels[next(at for at in range(80) if (images[at] == image).all())])
        assert answer == (None if known < 0 else known)


def test_conversations_are_kept_as_they_are(tmp_path):
    lines = [
        {"messages": [{"role": "user", "content": f"{at}?"}, {"role": "assistant", "content": "yes"}]}
        for at in range(60)
    ]
    data = DataSection(train=write(tmp_path / "rows.jsonl", lines))
    hold_out(data, TaskName.CHAT, 0, tmp_path, False)
    kept = [
        json.loads(line)
        for name in ("learnt", "test")
        for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()
    ]
    assert sorted(map(json.dumps, kept)) == sorted(map(json.dumps, lines))


def test_a_test_file_of_ones_own_also_calibrates(tmp_path):
    lines = [{"text": f"other request {at}", "label": "x"} for at in range(90)]
    data = DataSection(train=write(tmp_path / "rows.jsonl", rows(90)), test=write(tmp_path / "own.jsonl", lines))
    hold_out(data, TaskName.CLASSIFICATION, 0, tmp_path, True)
    found, calibration = read_parts(data, TaskName.CLASSIFICATION, 0, tmp_path)
    assert found.train == data.train
    both = read_rows(found, TaskName.CLASSIFICATION, 0)
    tested = [both.inputs[row] for row in both.test]
    assert sorted([*tested, *calibration.inputs]) == sorted(line["text"] for line in lines)
    assert 15 < len(calibration.inputs) < 45


def test_too_few_rows_are_refused(tmp_path):
    data = DataSection(train=write(tmp_path / "rows.jsonl", rows(2)))
    with pytest.raises(UsageError, match="too few to keep some out"):
        hold_out(data, TaskName.CLASSIFICATION, 0, tmp_path, True)
