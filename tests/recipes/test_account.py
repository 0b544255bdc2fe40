"""What a finished run leaves for the report: everything adds up, and nothing is lost."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def record(plain) -> dict:
    return json.loads((plain / "student" / "record.json").read_text())


def test_the_data_are_counted(record, plain):
    data = record["data"]
    assert data["files"] == ["calls.jsonl"]
    assert data["rows"]["read"] == data["rows"]["used"] == 240
    assert sum(data["splits"].values()) == 240
    (balance,) = data["balance"]
    assert sorted(zip(balance["labels"], balance["counts"], strict=True)) == [
        ("billing", 80),
        ("repair", 80),
        ("shipping", 80),
    ]


def test_examples_are_calls_with_their_answers(record, plain):
    rows = [json.loads(line)["messages"] for line in (plain / "calls.jsonl").read_text().splitlines()]
    answers = {row[1]["content"]: row[2]["content"] for row in rows}
    assert len(record["data"]["examples"]) == 3
    assert all(answers[example["text"]] == example["answer"] for example in record["data"]["examples"])


def test_confusions_and_reliability_tell_of_the_sealed_rows(record):
    certificate = record["certificate"]
    wrong = round((1 - certificate["agreement"]) * certificate["test_rows"])
    assert sum(confusion["count"] for confusion in record["confusions"]) == wrong
    assert sum(part["count"] for part in record["reliability"]) == certificate["test_rows"]
    assert record["curve"]["coverage"][-1] == 1.0
    assert record["curve"]["disagreement"][-1] == pytest.approx(1 - certificate["agreement"])


def test_the_run_says_how_to_repeat_it(record):
    assert record["run"]["seed"] == 0
    assert record["run"]["versions"]["stillhouse"]
    assert record["chosen"] == "words"
