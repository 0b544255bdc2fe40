"""Rows without an answer are asked about once, whatever kills the run; then they are rows like others."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillhouse.artifacts import hash_bytes
from stillhouse.errors import TeacherError, UsageError
from stillhouse.generation.book import book_place
from stillhouse.generation.limits import Limits
from stillhouse.recipes import answers as answering
from stillhouse.recipes.answers import answered_rows, ask_missing, questions
from stillhouse.recipes.label import label
from stillhouse.recipes.read_rows import read_rows
from stillhouse.recipes.training import TrainRecipe, read_train_recipe
from stillhouse.training.events import Note, Progress, StageDone, silent
from tests.gateway.serving import served
from tests.generation.endpoint import Endpoint
from tests.recipes.runs import ROOT

RECIPE = """
task = "chat"
out = "student"
[data]
train = "rows.jsonl"
[teacher.api]
url = "{url}"
model = "large"
request = {{ temperature = 0 }}
[student]
model = "student"
[source]
kind = "offline"
[[objective]]
name = "cross_entropy"
"""
TURNS = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "where is it"}]
ROWS = [
    {"messages": TURNS, "tools": [{"type": "function", "function": {"name": "track"}}]},
    {"prompt": "who are you"},
    {"prompt": TURNS[1:], "completion": None},
    {"prompt": "known", "completion": "yes"},
    {"messages": [*TURNS, {"role": "assistant", "content": "there"}]},
    {"text": "only read"},
    {"prompt": "who are you"},
]


@pytest.fixture
def endpoint(monkeypatch) -> Endpoint:
    monkeypatch.setattr(answering, "LIMITS", Limits(seconds=5, retries=1, first_wait=0.01))
    return Endpoint()


@pytest.fixture
def url(endpoint) -> Iterator[str]:
    with served(endpoint.app()) as url:
        yield url


def written(folder: Path, url: str, rows: list[dict], *changes: str) -> TrainRecipe:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "my.toml").write_text(RECIPE.format(url=url))
    return read_train_recipe(folder / "my.toml", changes)


def of(recipe: TrainRecipe):
    return read_rows(recipe.data, recipe.task, recipe.seed)


def test_rows_without_an_answer_are_asked_about_and_filled(tmp_path, url, endpoint):
    recipe, events = written(tmp_path, url, ROWS), []
    done = ask_missing(recipe, of(recipe), tmp_path, events.append)
    assert (done.rows, done.asked) == (4, 3)
    said = [event for event in events if isinstance(event, Progress)]
    assert [(event.done, event.total) for event in said] == [(1, 3), (2, 3), (3, 3)]
    whole = {"model": "large", "messages": TURNS, "temperature": 0, "tools": ROWS[0]["tools"]}
    assert whole in endpoint.asked
    rows = answered_rows(recipe, tmp_path).inputs
    assert rows[0] == {**ROWS[0], "messages": [*TURNS, {"role": "assistant", "content": "ti si erehw"}]}
    assert rows[1] == rows[6] == {"prompt": "who are you", "completion": "uoy era ohw"}
    assert rows[2]["completion"] == [{"role": "assistant", "content": "ti si erehw"}]
    assert rows[3:6] == ROWS[3:6]


def test_what_was_asked_is_not_asked_again(tmp_path, url, endpoint):
    recipe, events = written(tmp_path, url, ROWS), []
    first = label(recipe, tmp_path, silent)
    assert (first.kind, first.samples, first.skipped, len(endpoint.asked)) == ("answers", 4, False, 3)
    assert first.to_json()["answers"] == str(first.folder)
    again = label(recipe, tmp_path, events.append)
    assert (again.skipped, len(endpoint.asked)) == (True, 3)
    assert [event.skipped for event in events if isinstance(event, StageDone)] == [True]
    more = written(tmp_path, url, [{"prompt": "new"}, *ROWS[::-1]])
    assert ask_missing(more, of(more), tmp_path, silent).asked == 1
    warmer = written(tmp_path, url, ROWS, "teacher.api.request={temperature=1}")
    assert ask_missing(warmer, of(warmer), tmp_path, silent).asked == 3
    assert answered_rows(recipe, tmp_path).hash != of(recipe).hash


def test_answers_in_a_book_from_before_are_not_paid_again(tmp_path, url, endpoint):
    recipe = written(tmp_path, url, ROWS)
    said = {"message": {"role": "assistant", "content": "from before"}, "finish_reason": "stop"}
    lines = [{"asked": hash_bytes(asked), "answer": said} for asked in questions(recipe, of(recipe)).values()]
    place = book_place(tmp_path, url, "large")
    place.parent.mkdir()
    place.write_text("".join(json.dumps(line) + "\n" for line in lines[:2]))
    assert ask_missing(recipe, of(recipe), tmp_path, silent).asked == len({line["asked"] for line in lines}) - 2
    assert answered_rows(recipe, tmp_path).inputs[1]["completion"] == "from before"
    assert len(endpoint.asked) == 1


def test_rows_not_asked_about_yet_are_not_learnt(tmp_path, url):
    recipe = written(tmp_path, url, ROWS)
    with pytest.raises(UsageError, match=r"4 rows have no answer yet.*stillhouse label"):
        answered_rows(recipe, tmp_path)
    known = written(tmp_path, url, ROWS[3:5])
    assert (questions(known, of(known)), answered_rows(known, tmp_path)) == ({}, of(known))


def test_answers_that_cannot_be_used_are_left_out_and_told(tmp_path, url):
    rows = [{"prompt": f"question {number}"} for number in range(30)]
    spoilt = [{"prompt": "refuse me"}, {"prompt": "cut me"}]
    recipe, events = written(tmp_path, url, [*rows[:10], *spoilt, *rows[10:]]), []
    assert ask_missing(recipe, of(recipe), tmp_path, silent).asked == 32
    found = answered_rows(recipe, tmp_path, events.append)
    assert sorted((*found.train, *found.selection)) == list(range(30))
    assert all(row["completion"] == row["prompt"][::-1] for row in found.inputs)
    (note,) = [event for event in events if isinstance(event, Note)]
    assert note.warning
    assert "2 rows are left out" in note.text
    assert "row 10: The teacher refused the call with status 400. It says: This is against our policy." in note.text
    assert "row 11: it was cut off (finish_reason length)" in note.text


def test_reasons_are_asked_for_after_the_answer(tmp_path, url, endpoint):
    answer = {"role": "assistant", "content": "there"}
    rows = [
        {"prompt": "where is it", "completion": "here", "rationale": "seen"},
        {"prompt": "who are you", "completion": "me", "rationale": None},
        {"messages": [*TURNS, answer]},
    ]
    recipe, events = written(tmp_path, url, rows, "task=rationale", "teacher.api.reasons=Why so?"), []
    assert ask_missing(recipe, of(recipe), tmp_path, silent).asked == 2
    why = {"role": "user", "content": "Why so?"}
    talks = [call["messages"] for call in endpoint.asked]
    assert [*TURNS, answer, why] in talks
    assert [{"role": "user", "content": "who are you"}, {"role": "assistant", "content": "me"}, why] in talks
    assert answered_rows(recipe, tmp_path).inputs == [rows[0], *({**row, "rationale": "?os yhW"} for row in rows[1:])]
    spoilt = written(tmp_path, url, rows, "task=rationale", "teacher.api.reasons=cut it")
    ask_missing(spoilt, of(spoilt), tmp_path, silent)
    assert answered_rows(spoilt, tmp_path, events.append).inputs == rows
    assert "2 rows learn without reasons, for what was answered cannot be used (row 1: it was cut off" in events[0].text


def test_unheard_questions_end_it_with_the_reason_and_the_rest_is_kept(tmp_path, url, endpoint):
    recipe = written(tmp_path, url, [{"prompt": "fail"}, {"prompt": "one"}, {"prompt": "two"}])
    with pytest.raises(TeacherError, match=r"1 of 3 questions got no answer.*status 500.*only for those"):
        ask_missing(recipe, of(recipe), tmp_path, silent)
    before = len(endpoint.asked)
    with pytest.raises(TeacherError, match="1 of 1 questions"):
        ask_missing(recipe, of(recipe), tmp_path, silent)
    assert [call["messages"][0]["content"] for call in endpoint.asked[before:]] == ["fail", "fail"]


def test_a_key_comes_from_the_environment(tmp_path, url, endpoint, monkeypatch):
    recipe = written(tmp_path, url, [{"prompt": "one"}, {"prompt": "two"}], "teacher.api.key_env=SOME_KEY")
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(UsageError, match="SOME_KEY is empty or not set"):
        ask_missing(recipe, of(recipe), tmp_path, silent)
    monkeypatch.setenv("SOME_KEY", "hush")
    ask_missing(recipe, of(recipe), tmp_path, silent)
    assert endpoint.keys == ["Bearer hush"] * 2
    assert b"hush" not in b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_labels_are_asked_for_by_name(tmp_path, url, endpoint):
    texts = ["my money back", "late parcel", "the MONEY", "parcel gone", "parcel", "hello"]
    rows = [{"text": text, "label": {0: "billing", 1: "shipping"}.get(at)} for at, text in enumerate(texts)]
    recipe = written(tmp_path, url, rows, "task=classification")
    events = []
    assert ask_missing(recipe, of(recipe), tmp_path, silent).asked == 4
    asked = "Answer with exactly one of these labels and nothing else: billing, shipping.\n\nthe MONEY"
    wanted = {"messages": [{"role": "user", "content": asked}], "logprobs": True, "top_logprobs": 20}
    assert wanted.items() <= next(call for call in endpoint.asked if asked == call["messages"][0]["content"]).items()
    found = answered_rows(recipe, tmp_path, events.append)
    assert found.answers == ["billing", "shipping", "billing", "shipping", "shipping"]
    assert found.inputs == texts[:5]
    assert "row 5: 'who knows' is none of the labels" in events[0].text


KILLED = """
import os, signal, sys
from pathlib import Path
from stillhouse.recipes.label import label
from stillhouse.recipes.training import read_train_recipe
from stillhouse.training.events import Progress
def tell(event):
    if isinstance(event, Progress) and event.done == 7:
        os.kill(os.getpid(), signal.SIGKILL)
label(read_train_recipe(Path(sys.argv[1]), ["teacher.api.at_once=1"]), Path(sys.argv[2]), tell)
"""


def test_killed_it_asks_only_for_the_rest(tmp_path, url, endpoint):
    recipe = written(tmp_path, url, [{"prompt": f"question {number}"} for number in range(20)])
    command = [sys.executable, "-c", KILLED, str(tmp_path / "my.toml"), str(tmp_path / "home")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(endpoint.asked) == 7
    assert ask_missing(recipe, of(recipe), tmp_path / "home", silent).asked == 13
    asked = [call["messages"][0]["content"] for call in endpoint.asked]
    assert len(asked) == len(set(asked)) == 20
