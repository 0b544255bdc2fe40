from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stillhouse.data.curate import duplicate_groups
from stillhouse.data.split import Split, split
from stillhouse.data.traffic import Traffic, load_traffic
from stillhouse.errors import TrafficError

PARTS = ("train", "selection", "calibration", "test")


def traffic(folder: Path, texts: list[str], answers: list[str | None]) -> Traffic:
    path = folder / "calls.jsonl"
    rows = zip(texts, answers, strict=True)
    path.write_text("".join(json.dumps({"prompt": text, "completion": answer}) + "\n" for text, answer in rows))
    return load_traffic([path])


def distinct(rows: int, start: int = 0) -> list[str]:
    return [f"alpha{row} beta{row} gamma{row}" for row in range(start, start + rows)]


def alternating(rows: int) -> list[str | None]:
    return ["ab"[row % 2] for row in range(rows)]


def grouped(*parts: Traffic) -> np.ndarray:
    texts = [text for part in parts for text in part.texts]
    return duplicate_groups(texts, [name for part in parts for name in part.conversations])


def part_of(result: Split, texts: list[str]) -> dict[str, str]:
    return {texts[row]: part for part in PARTS for row in getattr(result, part).tolist()}


def test_every_row_goes_to_one_part_in_about_the_promised_shares(tmp_path):
    data = traffic(tmp_path, distinct(4_000), alternating(4_000))
    result = split(data, grouped(data))
    rows = np.concatenate([getattr(result, part) for part in PARTS])
    assert sorted(rows.tolist()) == list(range(4_000))
    shares = [len(getattr(result, part)) / 4_000 for part in PARTS]
    np.testing.assert_allclose(shares, [0.6, 0.1, 0.15, 0.15], atol=0.03)
    assert result.report.rows == dict(
        zip(
            (*PARTS, "unlabelled"),
            [*map(len, (result.train, result.selection, result.calibration, result.test)), 0],
            strict=True,
        )
    )
    balance = result.report.balance["answer"]
    assert sum(sum(counts) for counts in balance.values()) == 4_000
    assert (result.report.groups, result.report.singletons, result.report.kept_together) == (4_000, 4_000, 0)


def test_adding_and_shuffling_rows_moves_none_and_the_seed_moves_many(tmp_path):
    texts = distinct(600)
    small = traffic(tmp_path, texts[:400], alternating(400))
    before = part_of(split(small, grouped(small)), small.texts)
    large = traffic(tmp_path, texts[::-1], alternating(600))
    after = part_of(split(large, grouped(large)), large.texts)
    assert all(after[text] == part for text, part in before.items())
    other = part_of(split(large, grouped(large), seed=1), large.texts)
    assert sum(after[text] != other[text] for text in texts) > 200


def test_duplicates_stay_on_one_side(tmp_path):
    texts = distinct(200) * 3
    data = traffic(tmp_path, texts, alternating(600))
    result = split(data, grouped(data))
    sides: dict[str, set[str]] = {}
    for part in PARTS:
        for row in getattr(result, part).tolist():
            sides.setdefault(texts[row], set()).add(part)
    assert all(len(parts) == 1 for parts in sides.values())
    assert (result.report.groups, result.report.singletons, result.report.kept_together) == (200, 0, 600)


def test_a_holdout_is_the_sealed_part_and_nothing_like_it_stays(tmp_path):
    data = traffic(tmp_path, distinct(300), alternating(300))
    holdout = traffic(tmp_path, [*distinct(50, start=1_000), *distinct(10)], alternating(60))
    groups = grouped(data, holdout)
    result = split(data, groups, holdout=holdout)
    assert result.test.tolist() == list(range(60))
    assert result.report.holdout_leaks == 10
    kept = np.concatenate([result.train, result.selection, result.calibration])
    assert sorted(kept.tolist()) == list(range(10, 300))
    with pytest.raises(ValueError, match="entries"):
        split(data, groups[:300], holdout=holdout)


def test_unanswered_rows_teach_unless_they_resemble_sealed_ones(tmp_path):
    answered = distinct(200)
    texts = [*answered, *distinct(50, start=500), *answered]
    data = traffic(tmp_path, texts, [*alternating(200), *[None] * 250])
    result = split(data, grouped(data))
    train = set(result.train.tolist())
    assert set(result.unlabelled.tolist()) == set(range(200, 250)) | {row + 250 for row in train}
    assert result.report.unlabelled_dropped == 200 - len(train)


@pytest.mark.parametrize("rows", [4, 10, 40])
@pytest.mark.parametrize("seed", range(5))
def test_few_rows_still_fill_every_part(tmp_path, rows, seed):
    data = traffic(tmp_path, distinct(rows), alternating(rows))
    result = split(data, grouped(data), seed=seed)
    assert min(len(getattr(result, part)) for part in PARTS) >= 1


def test_too_few_different_rows_are_an_error(tmp_path):
    data = traffic(tmp_path, distinct(2) * 20, alternating(40))
    with pytest.raises(TrafficError, match="only 2 different contents; 4 are needed"):
        split(data, grouped(data))


def test_labels_that_train_never_sees_are_reported(tmp_path):
    data = traffic(tmp_path, distinct(100), alternating(100))
    plain = split(data, grouped(data))
    labels = data.labels.copy()
    labels[plain.train] = 0
    labels[plain.test] = 1
    result = split(replace(data, labels=labels), grouped(data))
    assert result.report.absent_from_train == {"answer": ["b"]}
    assert result.report.balance["answer"]["test"] == [0, len(result.test)]
    assert plain.report.absent_from_train == {}


def test_answers_that_no_student_could_give_are_measured_but_not_learnt_from(tmp_path):
    data = traffic(tmp_path, distinct(400), alternating(400))
    labels = data.labels.copy()
    labels[::4] = -2
    plain, odd = (split(each, grouped(data)) for each in (data, replace(data, labels=labels)))
    assert (labels[odd.train] >= 0).all()
    assert set(plain.train.tolist()) - set(odd.train.tolist()) == {row for row in plain.train.tolist() if row % 4 == 0}
    for part in ("selection", "calibration", "test"):
        assert np.array_equal(getattr(plain, part), getattr(odd, part))
        assert (labels[getattr(odd, part)] == -2).any()
    assert odd.report.rows["train"] == len(odd.train)
