"""`stillhouse generate rationales`: reasons that lead to the known answers, as a version and as rows to learn from."""

from __future__ import annotations

import json

import pytest

from stillhouse.cli.main import run
from tests.cli.generating import called, contents, text, with_dataset
from tests.gateway.serving import served
from tests.generation.scripted import Scripted, last_words


def think(call: dict, before: int) -> str:
    asked = last_words(call)
    if "told" in asked:
        return "As I was told, the answer follows.\nAnswer: 3"
    return f"There are three of them, which is plain to see.\nAnswer: {3 if 'three' in asked else 4}"


@pytest.fixture
def url():
    with served(Scripted(think).app()) as url:
        yield url


def test_reasons_are_kept_and_written_as_rows(capsys, tmp_path, url):
    items = [text("how many is three", truth="3"), text("how many is two", truth="2"), text("who knows")]
    with_dataset(tmp_path, "sums", items)
    rows = tmp_path / "deep" / "rows.jsonl"
    asked = ("rationales", "sums", "--teacher", url, "--model", "m", "--no-hint", "--rows", str(rows))
    code, told, _ = called(capsys, tmp_path, *asked, "--dry-run")
    assert (code, told["calls"], rows.exists()) == (0, 2, False)
    code, told, _ = called(capsys, tmp_path, *asked, "--samples", "2")
    assert (code, told["reference"], told["items"], told["dropped"]) == (0, "sums@2", 1, 2)
    assert told["step"]["counts"] == {"kept": 1, "no known answer": 1, "wrong answer": 1}
    (item,) = contents(tmp_path, "sums@2")[1]
    assert (item.rationale, item.facts.grade) == ("There are three of them, which is plain to see.", 1.0)
    assert [json.loads(line) for line in rows.read_text().splitlines()] == [
        {"prompt": "how many is three", "completion": "3", "rationale": item.rationale}
    ]
    assert list(rows.parent.iterdir()) == [rows]


def test_a_template_that_tells_the_answer_is_refused(capsys, tmp_path, url):
    with_dataset(tmp_path, "sums", [text("a", truth="3")])
    (tmp_path / "tells.txt").write_text("{text} It is {truth}. Why?")
    line = ["generate", "rationales", "sums", "--teacher", url, "--model", "m", "--home", str(tmp_path)]
    assert run([*line, "--template", str(tmp_path / "tells.txt")]) == 2
    assert "tells the answer" in capsys.readouterr().err
