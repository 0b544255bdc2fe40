from __future__ import annotations

import numpy as np
import pytest

from stillhouse.errors import TrafficError
from stillhouse.recipes import material
from stillhouse.recipes.material import gather
from stillhouse.recipes.recipe import DistillRecipe, Reading
from tests.recipes.runs import LABELS, SORRY, calls, chat, texts, write


def gathered(tmp_path, traffic, **options) -> material.Material:
    return gather(DistillRecipe(traffic=(traffic,), out=tmp_path / "x", **options), tmp_path / "bad-rows.jsonl")


def test_no_text_is_in_two_parts(plain, tmp_path):
    found = gathered(tmp_path, plain / "calls.jsonl")
    parts = [found.lessons.train, found.lessons.selection, found.calibration, found.test]
    assert [len(part) for part in parts] == [found.split.report.rows[name] for name in found.split.report.rows][:4]
    assert len(set().union(*(part.texts for part in parts))) == sum(map(len, parts)) == 240


def test_a_call_recorded_three_times_is_learnt_three_times_and_measured_once(plain, tmp_path):
    once = gathered(tmp_path, plain / "calls.jsonl")
    thrice = gathered(tmp_path, write(tmp_path / "calls.jsonl", calls(LABELS, 240) * 3))
    assert sum(thrice.split.report.rows.values()) == 3 * sum(once.split.report.rows.values())
    assert len(thrice.lessons.train) == thrice.split.report.rows["train"]
    for name, part in (("selection", thrice.lessons.selection), ("test", thrice.test)):
        assert 3 * len(set(part.texts)) == 3 * thrice.measured[name] == thrice.split.report.rows[name]


def test_prompts_without_an_answer_are_lessons_after_the_answered_ones(tmp_path):
    rows = calls(LABELS, 90) + [chat(text, None) for text in texts([0] * 30, seed=7)]
    train = gathered(tmp_path, write(tmp_path / "calls.jsonl", rows)).lessons.train
    unanswered = (train.labels == -1).all(axis=1)
    assert unanswered.sum() == 30
    assert unanswered[-30:].all()


def test_the_holdout_is_the_test_and_its_odd_answers_stay(plain, tmp_path):
    odd = [chat(text, "something new") for text in texts([0] * 5, seed=8)]
    holdout = write(tmp_path / "holdout.jsonl", calls(LABELS, 20, seed=2) + odd)
    found = gathered(tmp_path, plain / "calls.jsonl", holdout=holdout)
    assert (found.test.labels == -2).sum() == 5
    assert len(found.test) == 25
    assert found.holdout is not None
    assert found.holdout.counts.kept_misfits == 5
    assert found.holdout.counts.bad == 0


def test_bad_rows_of_both_files_are_kept_aside(plain, tmp_path):
    traffic = write(tmp_path / "calls.jsonl", [*calls(LABELS, 90), "{broken"])
    holdout = write(tmp_path / "holdout.jsonl", [*calls(LABELS, 20, seed=2), "{also broken"])
    gathered(tmp_path, traffic, holdout=holdout, reading=Reading(skip_bad_rows=True))
    assert "{broken" in (tmp_path / "bad-rows.jsonl").read_text()
    assert "{also broken" in (tmp_path / "holdout-bad-rows.jsonl").read_text()


@pytest.mark.parametrize("seed", [0, 1])
def test_of_very_many_rows_some_are_drawn_by_seed(plain, tmp_path, seed, monkeypatch):
    monkeypatch.setattr(material, "MOST_LESSONS", 40)
    monkeypatch.setattr(material, "MOST_MEASURED", 10)
    once, twice = (gathered(tmp_path, plain / "calls.jsonl", seed=seed) for _ in range(2))
    assert [len(once.lessons.train), len(once.lessons.selection), len(once.test)] == [40, 10, 10]
    assert once.lessons.hash == twice.lessons.hash
    assert np.array_equal(once.test.labels, twice.test.labels)


def test_answers_outside_the_labels_are_measured_but_not_learnt_from(tmp_path):
    odd = [chat(text, f"{SORRY} {row}") for row, text in enumerate(texts([0] * 12, seed=8))]
    traffic = write(tmp_path / "calls.jsonl", calls(LABELS, 240) + odd)
    with pytest.raises(TrafficError, match="12 rows cannot be used"):
        gathered(tmp_path, traffic)
    found = gathered(tmp_path, traffic, reading=Reading(skip_bad_rows=True))
    measured = [found.lessons.selection, found.calibration, found.test]
    assert (found.outside, found.bad) == (12, 0)
    assert (found.lessons.train.labels >= 0).all()
    assert 0 < sum(int((part.labels == -2).sum()) for part in measured) <= 12
    assert (found.test.labels == -2).any(), "the sealed part is as the traffic is"
    assert len((tmp_path / "bad-rows.jsonl").read_text().splitlines()) == 12
