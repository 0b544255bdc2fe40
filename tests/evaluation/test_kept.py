"""Evals and runs come out of the database as they went in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stillhouse.evaluation.graders.grader import Grade, errored
from stillhouse.evaluation.kept import (
    done_item,
    new_eval,
    new_run,
    read_counts,
    restore_source,
    restored,
    show_eval,
    show_run,
    unreadable_item,
)
from stillhouse.evaluation.run import Graded
from stillhouse.storage.eval_records import RunCounts
from stillhouse.wire.data_sources import Row
from stillhouse.wire.evals import read_eval, read_run, write_eval
from stillhouse.wire.samples import Tokens, sample_of_text

CHECK = {"type": "string_check", "name": "same", "input": "{{sample.output_text}}", "reference": "x", "operation": "eq"}
STORED = {"type": "logs", "metadata": {"use": "desk"}}
PROMPT = {"type": "template", "template": [{"role": "user", "content": "{{item.input}}"}]}


def made(name: str | None = "e"):
    body = {"data_source_config": STORED, "testing_criteria": [CHECK, CHECK], "metadata": {"a": "b"}, "name": name}
    return new_eval(read_eval(json.dumps(body).encode()), 7)


def run_of(source: dict, name: str | None = None):
    one, kept = made()
    return new_run(read_run(json.dumps({"data_source": source, "name": name}).encode(), one.config), kept, 8)


def test_an_eval_comes_back_with_what_has_changed():
    one, kept = made()
    assert restored(kept) == one
    assert show_eval(kept) == write_eval(one)
    changed = replace(kept, name="other", metadata={})
    assert (restored(changed).name, show_eval(changed)["metadata"]) == ("other", {})
    assert len({criterion.id for criterion in one.criteria}) == 2


def test_an_eval_without_a_name_is_called_by_its_id():
    assert made(None)[0].name.startswith("eval_")


@pytest.mark.parametrize(
    ("more", "name", "told"),
    [
        ({"model": "m", "input_messages": PROMPT}, "mine", ("mine", "m")),
        ({"model": "m", "input_messages": PROMPT}, None, ("m", "m")),
        ({"source": {"type": "stored_completions", "model": "old"}}, None, ("old", "old")),
        ({}, None, ("e", None)),
    ],
)
def test_a_run_is_named_after_its_model_and_else_its_eval(more, name, told):
    source = {"type": "completions", "source": {"type": "stored_completions"}, **more}
    run = run_of(source, name)
    assert (run.name, run.model, run.status) == (*told, "queued")
    assert restore_source(run).source == restore_source(replace(run, id="x")).source
    assert show_run(run, "http://x/y")["report_url"] == "http://x/y"
    assert show_run(run, "")["data_source"]["source"] == source["source"]


def test_a_graded_row_is_kept_with_what_it_counts():
    one, _ = made()
    run = run_of({"type": "completions", "source": {"type": "stored_completions"}})
    first, second = one.criteria
    grades = {first.id: Grade(1.0, True), second.id: errored("other_error", "cannot tell")}
    sample = replace(sample_of_text("x"), model="m", tokens=Tokens(3, 2, 1))
    done = done_item(run, 4, Graded(Row({"input": []}, sample), grades, sampled=True), one.criteria, 9)
    assert done.counts == RunCounts((0, 0, 1), {first.id: (1, 0, 0), second.id: (0, 0, 1)}, {"m": (1, 3, 2, 1)})
    shown = json.loads(done.item.content)
    assert (shown["status"], shown["datasource_item_id"], shown["created_at"]) == ("error", 4, 9)
    assert (shown["id"], shown["run_id"], shown["eval_id"]) == (done.item.id, run.id, run.eval_id)
    assert [result["score"] for result in shown["results"]] == [1.0, None]
    again = done_item(run, 4, Graded(Row({"input": []}, sample), grades), one.criteria, 10)
    assert again.item.id == done.item.id
    counted = read_counts(replace(run, counts=done.counts))
    assert (counted.counts.errored, counted.criteria[first.id].passed) == (1, 1)
    assert counted.usage["m"] == (1, Tokens(3, 2, 1))


def test_a_row_that_cannot_be_read_is_errored():
    run = run_of({"type": "completions", "source": {"type": "stored_completions"}})
    done = unreadable_item(run, 0, {"q": 1}, "it is no row", 9)
    shown = json.loads(done.item.content)
    assert (shown["status"], shown["datasource_item"], shown["results"]) == ("error", {"q": 1}, [])
    assert shown["sample"]["error"] == {"code": "invalid_data", "message": "it is no row"}
    assert done.counts == RunCounts((0, 0, 1))
