"""`stillhouse generate select`: the good, the new, the best and the pairs; nobody is asked."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stillhouse.cli.main import run
from stillhouse.data.items import Kind
from tests.cli.generating import called, contents, with_dataset
from tests.cli.methods import chat


def graded(text, answer, grade, row=0):
    item = chat(text, answer)
    return replace(item, facts=replace(item.facts, grade=grade), source=replace(item.source, row=row))


@pytest.fixture
def home(tmp_path):
    rows = [
        graded("Name a colour of the sea", "Blue.", 0.9, 1),
        graded("Name a colour of the sea", "Dog.", 0.1, 2),
        graded("Name a colour of the deep sea", "Black.", 0.8, 3),
        graded("Write a poem about rain", "Drip.", None, 4),
    ]
    with_dataset(tmp_path, "told", rows)
    with_dataset(tmp_path, "old", [chat("Name a colour of the sea")])
    return tmp_path


def test_the_good_and_new_are_kept(capsys, home):
    verb = ("select", "told", "--least", "0.5", "--most-like", "0.7", "--out", "good")
    code, told, _ = called(capsys, home, *verb, "--dry-run")
    assert (code, told["counts"]) == (0, {"kept": 1, "judged too low": 1, "not judged": 1, "not new": 1})
    code, told, _ = called(capsys, home, *verb)
    assert (code, told["items"], told["dropped"], told["mean_grade"]) == (0, 1, 3, 0.9)
    told = called(capsys, home, *verb, "--against", "old")[1]
    assert (told["items"], told["step"]["parents"]) == (0, ["told@1", "old@1"])


def test_the_best_of_each_prompt(capsys, home):
    assert called(capsys, home, "select", "told", "--keep", "best", "--out", "best")[1]["items"] == 2
    _, kept, dropped = contents(home, "best@1")
    assert [item.words for item in kept] == ["Blue.", "Black."]
    assert [(item.words, reason) for item, reason in dropped] == [("Dog.", "not the best"), ("Drip.", "no grade")]
    told = contents(home, "told@1")[1]
    assert run(["data", "restore", "best", "--reason", "not the best", "--home", str(home)]) == 0
    assert [item.id for item in contents(home, "best@2")[1]] == [item.id for item in told[:3]]


def test_pairs_of_each_prompt(capsys, home):
    assert called(capsys, home, "select", "told", "--keep", "pairs", "--out", "pairs")[1]["items"] == 1
    item = contents(home, "pairs@1")[1][0]
    assert (item.kind, item.words, item.rejected["content"]) == (Kind.PREFERENCE, "Blue.", "Dog.")
    assert item.source.parents == tuple(each.id for each in contents(home, "told@1")[1][:2])


def test_what_is_not_to_be_repeated_needs_a_bound(capsys, home):
    code, told, _ = called(capsys, home, "select", "told", "--against", "old")
    assert (code, "--most-like" in told["error"]["message"]) == (2, True)


def test_a_grader_finds_the_best_of_each_prompt(capsys, tmp_path):
    """Best-of-n and rejection sampling without a judge: three answers each, of which some are right."""
    answers = [("6 * 7?", "42", ("41", "42", "43")), ("2 + 2?", "4", ("3", "4", "4")), ("1 + 1?", "2", ("5", "6", "7"))]
    rows = [
        replace(chat(asked, said), truth=truth, source=replace(chat(asked).source, row=row))
        for asked, truth, all_said in answers
        for row, said in enumerate(all_said)
    ]
    with_dataset(tmp_path, "sums", rows)
    grader = tmp_path / "right.json"
    same = {"type": "string_check", "input": "{{sample.output_text}}", "reference": "{{item.truth}}", "operation": "eq"}
    grader.write_text(json.dumps(same))
    verb = ("select", "sums", "--grader", str(grader), "--keep", "best", "--least", "1", "--out", "right")
    counted = {"kept": 2, "not the best": 6, "judged too low": 1}
    assert called(capsys, tmp_path, *verb, "--dry-run")[1]["counts"] == counted
    code, told, _ = called(capsys, tmp_path, *verb)
    assert (code, told["step"]["counts"], told["step"]["settings"]["grader"]["operation"]) == (0, counted, "eq")
    assert [(item.words, item.facts.grade) for item in contents(tmp_path, "right@1")[1]] == [("42", 1.0), ("4", 1.0)]
    assert (
        called(capsys, tmp_path, "select", "sums", "--grader", str(grader), "--keep", "pairs", "--out", "pairs")[0] == 0
    )
    assert [(item.words, item.rejected["content"]) for item in contents(tmp_path, "pairs@1")[1]] == [
        ("42", "43"),
        ("4", "3"),
    ]


def test_a_grader_that_asks_a_model_is_refused(capsys, home):
    grader = home / "rater.json"
    asks = {"type": "score_model", "name": "rater", "model": "gpt-4o", "input": [{"role": "user", "content": "Good?"}]}
    grader.write_text(json.dumps(asks))
    code, told, _ = called(capsys, home, "select", "told", "--grader", str(grader))
    assert (code, "stillhouse generate judge" in told["error"]["message"]) == (2, True)


def test_a_margin_is_of_pairs(capsys, home):
    code, told, _ = called(capsys, home, "select", "told", "--keep", "best", "--margin", "0.5")
    assert (code, "--keep pairs" in told["error"]["message"]) == (2, True)
