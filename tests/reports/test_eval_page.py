"""The page of a run says how far it is, and shows each item that did not pass with what was said of it."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from stillhouse.reports.eval_page import render_run
from stillhouse.storage.eval_records import RunCounts, StoredItem
from stillhouse.wire.evals import Config, Criterion, Eval
from stillhouse.wire.graders import StringCheck
from tests.storage.kept_evals import a_run

OF = Eval(
    "eval_1", "desk", 1, Config("custom", {}, True, {}), (Criterion("same-1", StringCheck("same", "", "", "eq")),), {}
)
COUNTS = RunCounts((7, 2, 1), {"same-1": (7, 2, 1)}, {"big": (10, 1_234, 56, 0)})


def item(row: int, status: str, **more) -> StoredItem:
    result = {"name": "same-1", "passed": False, "score": 0.25, "sample": None, **more.pop("result", {})}
    sample = {"output": [{"content": "said <b>"}], "error": None, **more}
    told = {"datasource_item_id": row, "status": status, "datasource_item": {"q": "?"}, "results": [result]}
    return StoredItem(str(row), row, status, orjson.dumps({**told, "sample": sample}))


@pytest.mark.parametrize(
    ("status", "words", "again"),
    [
        ("queued", "The run waits to be begun", True),
        ("in_progress", "The run goes on: 7 of 10 items have passed so far", True),
        ("completed", "7 of 10 items passed", False),
        ("canceled", "The run was cancelled after 10 items", False),
        ("failed", "The run failed", False),
    ],
)
def test_how_far_it_is(status, words, again):
    page = render_run(OF, replace(a_run(1), status=status, counts=COUNTS), [])
    assert f"<h1>{words}</h1>" in page
    assert ('http-equiv="refresh"' in page) == again


def test_shares_have_intervals_and_failures_their_words():
    run = replace(a_run(1), status="failed", counts=COUNTS, error=("invalid_data", "no <rows>"))
    page = render_run(OF, run, [item(3, "fail")])
    assert "77.8 %" in page
    assert "40.0 % to 97.2 %" in page
    assert "no &lt;rows&gt;" in page
    assert "1,234" in page
    assert "And 2 more" in page


def test_an_item_shows_its_answer_and_what_was_said_of_it():
    judged = {"sample": {"output": [{"content": '{"steps":[{"conclusion":"too short"}],"result":1}'}]}}
    broken = {"sample": {"output": [{"content": "no json"}]}}
    called = [{"content": None, "tool_calls": [{"function": {"name": "find"}}]}]
    rows = [
        item(1, "fail", result=judged),
        item(2, "fail", result=broken, output=called),
        item(3, "error", output=[], error={"code": "x", "message": "no answer came"}),
        item(4, "error", result={"score": None, "error": {"code": "x", "message": "cannot tell"}}),
    ]
    page = render_run(OF, replace(a_run(1), status="completed", counts=COUNTS), rows)
    for words in ("said &lt;b&gt;", "too short", "find", "no answer came", "cannot tell", "no score", "0.25"):
        assert words in page
    assert "more, by the API" not in page


def test_nothing_that_failed_is_said_so():
    page = render_run(OF, replace(a_run(1), status="completed"), [])
    assert "Nothing that is done has failed" in page
    assert "no item is graded" in page
