"""`stillhouse eval`: runs that a real server has kept are listed, shown and compared."""

from __future__ import annotations

import json

import pytest
from openai import OpenAI

from stillhouse.cli.main import run
from tests.jobs.evaluating import hands, until_done, world
from tests.storage.databases import database_option

ITEM = {"type": "object", "properties": {"q": {"type": "string"}, "a": {"type": "string"}}}
CUSTOM = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
CHECK = {
    "type": "string_check",
    "name": "[same]",
    "input": "{{sample.output_text}}",
    "reference": "{{item.a}}",
    "operation": "eq",
}
PROMPT = {"type": "template", "template": [{"role": "user", "content": "{{item.q}}"}]}


@pytest.fixture(scope="module")
def kept(database, tmp_path_factory):
    """A home folder with an eval and three runs: one shouts, one echoes, one reads other rows."""
    home = tmp_path_factory.mktemp("home")
    with world(home, database) as where, hands(where), OpenAI(base_url=where.base_url, api_key="k") as client:
        made = client.evals.create(name="e", data_source_config=CUSTOM, testing_criteria=[CHECK])
        rows = [{"q": f"w {n}", "a": f"W {n}" if n % 4 else f"w {n}"} for n in range(40)]
        runs = []
        for model, items in (("shouts", rows), ("echoes", rows), ("echoes", [{"q": "fail", "a": "x"}])):
            content = {"type": "file_content", "content": [{"item": item} for item in items]}
            source = {"type": "completions", "source": content, "model": model, "input_messages": PROMPT}
            begun = client.evals.runs.create(made.id, data_source=source)
            runs.append(until_done(client, made.id, begun.id).id)
    return home, made.id, runs


@pytest.fixture
def told(kept, database, capsys):
    """Runs the verb on the home folder; gives its exit code and what it printed."""

    def call(*arguments: str) -> tuple[int, str]:
        code = run(["eval", *arguments, "--home", str(kept[0]), *database_option(database)])
        captured = capsys.readouterr()
        return code, captured.out if code == 0 else captured.err

    return call


def test_runs_are_listed(told, kept):
    _, eval_id, runs = kept
    listed = json.loads(told("list", "--json")[1])["runs"]
    assert [(each["id"], each["eval_id"], each["status"]) for each in listed] == [
        (each, eval_id, "completed") for each in runs
    ]
    assert listed[0]["result_counts"] == {"total": 40, "passed": 30, "failed": 10, "errored": 0}
    shown = told("list")[1]
    assert all(each in shown for each in runs)
    assert "no eval runs" in told("list", "--project", "other")[1]


def test_one_is_shown_with_what_did_not_pass(told, kept):
    run_id = kept[2][2]
    shown = json.loads(told("show", run_id, "--json")[1])
    assert (shown["result_counts"]["errored"], shown["criteria"]) == (1, {})
    assert shown["not_passed"][0]["datasource_item"] == {"q": "fail", "a": "x"}
    assert "no such thing" in told("show", run_id)[1]
    assert "[same]" in told("show", kept[2][0])[1]


def test_two_are_compared_pair_by_pair(told, kept):
    _, _, (shouts, echoes, _) = kept
    result = json.loads(told("compare", shouts, echoes, "--json")[1])
    assert (result["by"], result["left_out"]) == ("row", 0)
    assert (result["passing"]["teacher_accuracy"], result["passing"]["student_accuracy"]) == (0.75, 0.25)
    low, high = result["passing"]["interval"]
    assert low < result["passing"]["difference"] == -0.5 < high < 0
    assert result["gained"] == [n for n in range(40) if not n % 4]
    assert len(result["lost"]) == 30
    assert result["scores"]["[same]"]["difference"] == -0.5
    shown = told("compare", shouts, echoes)[1]
    assert "B passes less often" in shown
    assert "score of [same]" in shown
    assert "and 10 more" in shown
    assert "B passes more often" in told("compare", echoes, shouts)[1]
    assert "cannot be told" in told("compare", echoes, echoes)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("compare", "evalrun_1"), 2, "two runs"),
        (("show",), 2, "one run"),
        (("list", "evalrun_1"), 2, "no run"),
        (("show", "evalrun_none"), 2, "evalrun_none"),
        (("forget",), 2, "forget"),
    ],
)
def test_wrong_use_is_named(told, arguments, code, words):
    assert told(*arguments)[0] == code
    assert words in told(*arguments)[1]


def test_what_has_nothing_in_common_is_not_compared(told, kept):
    code, words = told("compare", kept[2][0], kept[2][2])
    assert code == 1
    assert "--by row" in words
