"""`stillhouse certify`: the promise of a bundle, tried on new calls."""

from __future__ import annotations

import json
import shutil
from functools import reduce
from pathlib import Path

import pytest

from tests.recipes.runs import LABELS, calls, chat, run, texts, write


def test_the_certificate_is_repeated_on_new_rows(plain, tmp_path):
    fresh = write(tmp_path / "fresh.jsonl", calls(LABELS, 300, seed=4))
    done = run("certify", plain / "student", "--on", fresh, "--json", "--out", tmp_path / "new.json", "--risk", "0.3")
    assert done.code == 0, done.err
    assert done.json == json.loads((tmp_path / "new.json").read_text())
    assert done.json["test_rows"] == 300
    assert done.json["agreement"] > 0.9
    assert (done.json["margin"], done.json["cascade"]["risk"]) == (0.02, 0.3)


def test_an_answer_that_the_student_cannot_give_counts_against_it(plain, tmp_path):
    strange = [chat(text, "none of them") for text in texts([0] * 50, seed=8)]
    fresh = write(tmp_path / "fresh.jsonl", calls(LABELS, 50, seed=4) + strange)
    certificate = run("certify", plain / "student", "--on", fresh, "--json").json
    assert certificate["test_rows"] == 100
    assert certificate["agreement"] <= 0.5


def test_people_are_told_in_sentences(plain, tmp_path):
    fresh = write(tmp_path / "fresh.jsonl", calls(LABELS, 30, seed=4))
    told = run("certify", plain / "student", "--on", fresh).out
    assert "Too few calls to tell" in told
    assert "sealed rows" in told
    assert "repeat" not in told
    again = write(tmp_path / "again.jsonl", calls(LABELS, 30, seed=4) * 2)
    assert "30 rows repeat calls of other rows" in run("certify", plain / "student", "--on", again).out


@pytest.fixture
def doubtful(plain, tmp_path) -> Path:
    """The plain bundle, with a threshold of 0.6 for a risk of 2 %."""
    bundle = tmp_path / "doubtful"
    shutil.copytree(plain / "student", bundle)
    for name, place in (("stillhouse.json", ()), ("certificate.json", ("cascade",))):
        told = json.loads((bundle / name).read_text())
        reduce(dict.__getitem__, place, told)["threshold"] = 0.6
        (bundle / name).write_text(json.dumps(told))
    return bundle


def test_a_threshold_that_is_not_confirmed_says_what_was_seen_and_what_to_do(doubtful, tmp_path):
    few = write(tmp_path / "few.jsonl", calls(LABELS, 30, seed=4))
    told = " ".join(run("certify", doubtful, "--on", few).out.split())
    assert "The bundle's threshold is not confirmed. At the threshold 0.6000 the student keeps" in told
    assert "149 kept rows could" in told
    assert "To confirm this threshold, certify on about" in told
    assert "distil again with these calls added" in told
    assert "`stillhouse serve` goes on answering calls at 0.6000 or more by the student" in told
    assert "No share of the calls" not in told


def test_a_threshold_that_is_contradicted_asks_for_another_and_not_for_more_rows(doubtful, tmp_path):
    strange = [chat(text, "none of them") for text in texts([row % 3 for row in range(60)], seed=8)]
    fresh = write(tmp_path / "fresh.jsonl", calls(LABELS, 60, seed=4) + strange)
    told = " ".join(run("certify", doubtful, "--on", fresh).out.split())
    assert "60 of the answers are none that the student could give" in told
    assert "which contradicts at most 2% with 95% confidence" in told
    assert "To confirm this threshold" not in told
    assert "For another one, distil again" in told


def test_without_a_threshold_people_are_told_how_to_get_one(plain, tmp_path):
    assert json.loads((plain / "student" / "certificate.json").read_text())["cascade"]["threshold"] is None
    fresh = write(tmp_path / "fresh.jsonl", calls(LABELS, 30, seed=4))
    told = " ".join(run("certify", plain / "student", "--on", fresh).out.split())
    assert "The bundle has no certified threshold to test" in told
    assert "To get one, distil again with these calls added" in told


def test_what_cannot_be_certified_is_refused(plain, tmp_path):
    other = write(tmp_path / "other.jsonl", calls(("yes", "no"), 30))
    for arguments, code, told in (
        ((plain / "student", "--on", tmp_path / "none"), 1, "does not exist"),
        ((plain / "student", "--on", other), 1, "None of the 30 answers"),
        ((plain / "student", "--on", other, "--margin", "7"), 2, "between 0 and 1"),
        ((plain / "student",), 2, "--on"),
        ((tmp_path, "--on", other), 1, "certificate.json"),
    ):
        done = run("certify", *arguments)
        assert (done.code, told in done.err, done.out) == (code, True, ""), done.err
