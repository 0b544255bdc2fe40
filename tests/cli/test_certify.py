"""`stillhouse certify`: the promise of a bundle, tried on new calls."""

from __future__ import annotations

import json

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
