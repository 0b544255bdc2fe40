"""Runs through the unmodified SDK: every data source, sampled and graded over real sockets, cancelled, deleted."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.jobs.evaluating import TOOL, hands, until_done, world

ITEM = {"type": "object", "properties": {"q": {"type": "string"}, "a": {"type": "string"}}, "required": ["q"]}
CUSTOM = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
STORED = {"type": "stored_completions", "metadata": {"use": "desk"}}
CHECK = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{ item.a }}",
    "operation": "eq",
}
LABEL = {
    "type": "label_model",
    "name": "loud",
    "model": "judge",
    "labels": ["loud", "quiet"],
    "passing_labels": ["loud"],
    "input": [{"role": "user", "content": "{{sample.output_text}}"}],
}
SCORE = {
    "type": "score_model",
    "name": "long",
    "model": "judge",
    "range": [1, 7],
    "pass_threshold": 2.5,
    "input": [{"role": "developer", "content": "Count."}, {"role": "user", "content": "{{sample.output_text}}"}],
}
ROWS = [{"item": {"q": "one two", "a": "ONE TWO"}}, {"item": {"q": "three", "a": "three"}}]
PROMPT = {"type": "template", "template": [{"role": "user", "content": "{{item.q}}"}]}


@pytest.fixture(scope="module")
def where(database, tmp_path_factory):
    with world(tmp_path_factory.mktemp("home"), database) as made, hands(made):
        yield made


@pytest.fixture(scope="module")
def sdk(where):
    with OpenAI(base_url=where.base_url, api_key="k", max_retries=0) as client:
        yield client


def content(rows: list) -> dict:
    return {"type": "file_content", "content": rows}


def asking(model: str = "shouts", rows: list | None = None, **more) -> dict:
    """A data source that samples a model."""
    return {
        "type": "completions",
        "source": content(rows or ROWS),
        "model": model,
        "input_messages": PROMPT,
        **more,
    }


def items_of(sdk, run) -> list:
    return list(sdk.evals.runs.output_items.list(run.id, eval_id=run.eval_id))


def whole(sdk, source: dict, criteria: list | None = None, config: dict | None = None):
    """A finished run of a new eval, and its items."""
    made = sdk.evals.create(name="e", data_source_config=config or CUSTOM, testing_criteria=criteria or [CHECK])
    run = until_done(sdk, made.id, sdk.evals.runs.create(made.id, data_source=source).id)
    return run, items_of(sdk, run)


def counts(run) -> tuple[int, int, int, int]:
    told = run.result_counts
    return told.total, told.passed, told.failed, told.errored


def test_a_run_samples_a_model_and_grades_what_it_says(sdk):
    made = sdk.evals.create(name="e", data_source_config=CUSTOM, testing_criteria=[CHECK])
    raw = sdk.evals.runs.with_raw_response.create(made.id, data_source=asking(), metadata={"a": "b"})
    begun = raw.parse()
    assert (raw.status_code, begun.status, begun.object, begun.eval_id) == (201, "queued", "eval.run", made.id)
    assert (begun.name, begun.model, begun.metadata) == ("shouts", "shouts", {"a": "b"})
    assert begun.report_url.startswith(str(sdk.base_url).removesuffix("v1/") + "evals/")
    run = until_done(sdk, made.id, begun.id)
    assert (run.status, counts(run), run.error) == ("completed", (2, 1, 1, 0), None)
    criterion = made.testing_criteria[0].to_dict()["id"]
    (result,) = run.per_testing_criteria_results
    assert (result.testing_criteria, result.passed, result.failed) == (criterion, 1, 1)
    (usage,) = run.per_model_usage
    assert (usage.model_name, usage.invocation_count, usage.prompt_tokens) == ("shouts-2026-01-01", 2, 3)
    first, second = items_of(sdk, run)
    assert [(each.datasource_item_id, each.status) for each in (first, second)] == [(0, "pass"), (1, "fail")]
    assert (first.datasource_item, first.sample.output[0].content) == (ROWS[0]["item"], "ONE TWO")
    assert (first.sample.input[0].content, first.sample.seed, first.sample.temperature) == ("one two", 42, 1.0)
    assert (first.results[0].name, first.results[0].passed, first.results[0].score) == (criterion, True, 1.0)
    alone = sdk.evals.runs.output_items.retrieve(first.id, eval_id=made.id, run_id=run.id)
    assert alone.to_dict() == first.to_dict()
    source = run.data_source.to_dict()
    assert source["input_messages"]["template"] == [{"type": "message", **PROMPT["template"][0]}]


def test_samples_that_came_with_the_rows_are_only_graded(sdk, where):
    answer = sdk.chat.completions.create(model="shouts", messages=[{"role": "user", "content": "hi"}])
    before = len(where.upstream.calls)
    rows = [
        {"item": {"q": "hi", "a": "HI"}, "sample": answer.model_dump()},
        {"item": {"q": "hi", "a": "x"}, "sample": {"output_text": "y"}},
        {"item": {"q": "nothing was said"}},
    ]
    run, items = whole(sdk, {"type": "jsonl", "source": content(rows)})
    assert (run.status, counts(run)) == ("completed", (3, 1, 1, 1))
    assert [each.status for each in items] == ["pass", "fail", "error"]
    assert items[2].sample.error.code == "grader_error"
    assert len(where.upstream.calls) == before
    failed = sdk.evals.runs.output_items.list(run.id, eval_id=run.eval_id, status="fail")
    assert [each.datasource_item_id for each in failed] == [1]


def test_a_file_is_read_row_by_row_and_what_is_no_row_is_errored(sdk):
    lines = [json.dumps(row) for row in ROWS]
    text = "\n".join([lines[0], "not json", "", lines[1], json.dumps({"item": {"a": "no question"}})]) + "\n"
    file = sdk.files.create(file=("rows.txt", text.encode()), purpose="user_data")
    run, items = whole(sdk, asking(rows=[], source={"type": "file_id", "id": file.id}))
    assert (run.status, counts(run)) == ("completed", (4, 1, 1, 2))
    assert [(each.datasource_item_id, each.status) for each in items] == [
        (0, "pass"),
        (1, "error"),
        (2, "fail"),
        (3, "error"),
    ]
    assert "not JSON" in items[1].sample.error.message
    assert (items[3].datasource_item, items[3].sample.error.code) == ({"a": "no question"}, "invalid_data")


@pytest.mark.parametrize("text", ['{}\n{"item": {}}\n', "\n"])
def test_a_file_without_a_row_fails_the_run(sdk, text):
    file = sdk.files.create(file=("rows.jsonl", text.encode()), purpose="evals" if text.strip() else "user_data")
    run, _ = whole(sdk, {"type": "jsonl", "source": {"type": "file_id", "id": file.id}})
    assert (run.status, run.error.code) == ("failed", "invalid_data")


def test_a_file_that_is_not_there_is_refused(sdk):
    made = sdk.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK])
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.evals.runs.create(made.id, data_source={"type": "jsonl", "source": {"type": "file_id", "id": "file-1"}})
    assert caught.value.param == "data_source.source.id"


def test_the_form_of_the_responses_api_samples_too(sdk, where):
    source = asking(
        type="responses",
        sampling_params={
            "max_completions_tokens": 50,
            "temperature": 0,
            "text": {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object", "properties": {}}}},
        },
    )
    check = {**CHECK, "input": "{{sample.output_json.symbols}}", "reference": '["one","two"]'}
    run, items = whole(sdk, source, [check])
    assert counts(run) == (2, 1, 1, 0)
    call = where.upstream.calls[-1]
    assert (call["max_completion_tokens"], call["temperature"], call["seed"]) == (50, 0, 42)
    assert call["response_format"]["json_schema"]["name"] == "s"
    sample = items[0].to_dict()["sample"]
    assert sample["max_completion_tokens"] == sample["max_completions_tokens"] == 50


def test_stored_completions_are_graded_by_their_answers_and_asked_anew(sdk):
    for number, text in enumerate(("a b c", "d", "e f g")):
        sdk.chat.completions.create(
            model="echoes",
            messages=[{"role": "system", "content": "be kind"}, {"role": "user", "content": text}],
            store=True,
            metadata={"use": "desk", "version": "v1" if number < 2 else "v2"},
        )
    sdk.chat.completions.create(
        model="echoes", messages=[{"role": "user", "content": "x"}], store=True, metadata={"use": "other"}
    )
    made = sdk.evals.create(name="watch", data_source_config=STORED, testing_criteria=[SCORE, LABEL])
    version = {"type": "stored_completions", "metadata": {"version": "v1"}}
    judged = sdk.evals.runs.create(made.id, data_source={"type": "completions", "source": version})
    run = until_done(sdk, made.id, judged.id)
    assert (run.status, counts(run), run.model, run.name) == ("completed", (2, 0, 2, 0), None, "watch")
    items = items_of(sdk, run)
    assert [[each.score for each in item.results] for item in items] == [[3.0, 0.0], [1.0, 0.0]]
    assert items[0].datasource_item["input"][1] == {"role": "user", "content": "a b c"}
    judge = items[0].results[0].to_dict()["sample"]
    assert json.loads(judge["output"][0]["content"])["result"] == 3.0
    assert [each.model_name for each in run.per_model_usage] == ["judge-2026-01-01"]

    anew = {
        "type": "completions",
        "source": {"type": "stored_completions"},
        "model": "shouts",
        "input_messages": {"type": "item_reference", "item_reference": "item.input"},
    }
    run = until_done(sdk, made.id, sdk.evals.runs.create(made.id, data_source=anew).id)
    assert (run.status, counts(run), run.model) == ("completed", (3, 2, 1, 0), "shouts")
    items = items_of(sdk, run)
    assert [item.sample.output[0].content for item in items] == ["A B C", "D", "E F G"]
    assert [message.content for message in items[0].sample.input] == ["be kind", "a b c"]
    assert {each.model_name: each.invocation_count for each in run.per_model_usage} == {
        "judge-2026-01-01": 6,
        "shouts-2026-01-01": 3,
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"limit": 1}, ["e f g"]),
        ({"limit": 2}, ["d", "e f g"]),
        ({"model": "echoes"}, ["a b c", "d", "e f g"]),
        ({"model": "echoes-2026-01-01", "metadata": {"version": "v2"}}, ["e f g"]),
        ({"created_before": 2_000_000_000}, ["a b c", "d", "e f g"]),
        ({"created_after": 2_000_000_000}, None),
        ({"metadata": {"use": "other"}}, None),
        ({"model": "nobody"}, None),
    ],
)
def test_filters_of_stored_completions(sdk, filters, expected):
    config = {"type": "logs", "metadata": {"use": "desk"}}
    source = {"type": "completions", "source": {"type": "stored_completions", **filters}}
    run, items = whole(sdk, source, [{**CHECK, "reference": "d"}], config)
    if expected is None:
        assert (run.status, run.error.code, items) == ("failed", "invalid_data", [])
    else:
        assert [item.sample.output[0].content for item in items] == expected


def test_tools_and_judges_of_what_is_called(sdk):
    criteria = [
        {
            **SCORE,
            "input": [{"role": "user", "content": "{{sample.output_tools[0].function.arguments.symbols}} or so"}],
        },
        {**CHECK, "input": "{{sample.output_tools[0].function.name}}", "reference": "find"},
    ]
    run, items = whole(sdk, asking(sampling_params={"tools": [TOOL]}), criteria)
    assert (run.status, [each.status for each in items]) == ("completed", ["pass", "pass"])
    call = items[0].to_dict()["sample"]["output"][0]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"symbols": ["one", "two"]}


def test_what_fails_with_one_row_is_told_in_it(sdk):
    rows = [{"item": {"q": "fail here", "a": "x"}}, {"item": {"q": "ok", "a": "OK"}}, {"item": {"q": "x"}}]
    run, items = whole(sdk, asking(rows=rows))
    assert (run.status, counts(run)) == ("completed", (3, 1, 0, 2))
    assert [each.status for each in items] == ["error", "pass", "error"]
    assert "no such thing" in items[0].sample.error.message
    assert "item.a" in items[2].sample.error.message


def test_a_model_that_is_not_there_fails_the_run(sdk):
    for model in ("gone", "never was"):
        run, _ = whole(sdk, asking(model=model))
        assert (run.status, run.error.code) == ("failed", "model_not_found")
        assert f"'{model}' does not exist" in run.error.message


@pytest.mark.parametrize(
    ("source", "code", "param"),
    [
        ({"type": "jsonl"}, "missing_required_parameter", "data_source.source"),
        ({"type": "jsonl", "source": content([{"item": {"a": "x"}}])}, "invalid_value",
         "data_source.source.content[0].item"),
        ({"type": "jsonl", "source": {"type": "stored_completions"}}, "invalid_value", "data_source.source.type"),
        (asking(input_messages={"type": "template", "template": [{"role": "user", "content": "{{sample.x}}"}]}),
         "invalid_value", "data_source.input_messages.template[0].content"),
        (asking(sampling_params={"temperature": 3}), "decimal_above_max_value",
         "data_source.sampling_params.temperature"),
        ({"type": "responses", "source": {"type": "responses"}}, "unsupported_feature", "data_source.source.type"),
    ],
)  # fmt: skip
def test_a_wrong_source_is_refused_with_its_path(sdk, source, code, param):
    made = sdk.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK])
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.evals.runs.create(made.id, data_source=source)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("suffix", ["", "/cancel"])
def test_a_run_is_cancelled_on_either_path_and_keeps_what_it_has_done(sdk, where, suffix):
    made = sdk.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK])
    where.upstream.held = threading.Event()
    try:
        rows = [{"item": {"q": str(number), "a": str(number)}} for number in range(30)]
        run = sdk.evals.runs.create(made.id, data_source=asking("echoes", rows))
        wait_for(lambda: sdk.evals.runs.retrieve(run.id, eval_id=made.id).status == "in_progress")
        canceled = sdk.post(f"/evals/{made.id}/runs/{run.id}{suffix}", cast_to=object)
        assert canceled["status"] == "canceled"
    finally:
        where.upstream.held.set()
        where.upstream.held = None
    time.sleep(0.2)
    after = sdk.evals.runs.retrieve(run.id, eval_id=made.id)
    assert (after.status, counts(after)) == ("canceled", (0, 0, 0, 0))
    assert sdk.evals.runs.cancel(run.id, eval_id=made.id).status == "canceled"
    assert items_of(sdk, after) == []


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_at_its_end_cannot_be_cancelled(sdk):
    run, _ = whole(sdk, asking())
    with pytest.raises(openai.BadRequestError, match="completed already"):
        sdk.evals.runs.cancel(run.id, eval_id=run.eval_id)


def test_runs_are_listed_by_status_and_deleted_with_their_items(sdk):
    made = sdk.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK])
    runs = [sdk.evals.runs.create(made.id, data_source=asking(), name=f"n{n}").id for n in range(3)]
    bad = sdk.evals.runs.create(made.id, data_source=asking("gone")).id
    for run in (*runs, bad):
        until_done(sdk, made.id, run)
    assert [each.id for each in sdk.evals.runs.list(made.id, limit=1)] == [*runs, bad]
    assert [each.id for each in sdk.evals.runs.list(made.id, order="desc")] == [bad, *runs[::-1]]
    assert [each.id for each in sdk.evals.runs.list(made.id, status="failed")] == [bad]
    gone = sdk.evals.runs.delete(runs[0], eval_id=made.id)
    assert (gone.object, gone.deleted, gone.run_id) == ("eval.run.deleted", True, runs[0])
    for call in (sdk.evals.runs.retrieve, sdk.evals.runs.delete, sdk.evals.runs.cancel):
        with pytest.raises(openai.NotFoundError):
            call(runs[0], eval_id=made.id)
    with pytest.raises(openai.NotFoundError):
        sdk.evals.runs.output_items.list(runs[0], eval_id=made.id)
    assert [each.id for each in sdk.evals.runs.list(made.id, after=runs[0])] == [runs[1], runs[2], bad]


def test_an_eval_that_is_deleted_takes_its_runs_along(sdk, where):
    made = sdk.evals.create(data_source_config=CUSTOM, testing_criteria=[CHECK])
    where.upstream.held = threading.Event()
    try:
        run = sdk.evals.runs.create(made.id, data_source=asking("echoes"))
        wait_for(lambda: sdk.evals.runs.retrieve(run.id, eval_id=made.id).status == "in_progress")
        sdk.evals.delete(made.id)
    finally:
        where.upstream.held.set()
        where.upstream.held = None
    with pytest.raises(openai.NotFoundError):
        sdk.evals.runs.retrieve(run.id, eval_id=made.id)


async def test_many_runs_at_once_by_the_asynchronous_client(where):
    async with AsyncOpenAI(base_url=where.base_url, api_key="k", max_retries=0) as client:
        made = await client.evals.create(name="bulk", data_source_config=CUSTOM, testing_criteria=[CHECK])
        prompts = ["{{item.q}}", "x {{item.q}}", "{{item.q}}!"]
        begun = await asyncio.gather(
            *[
                client.evals.runs.create(
                    made.id,
                    name=f"{model} {prompt}",
                    data_source=asking(
                        model,
                        input_messages={"type": "template", "template": [{"role": "user", "content": prompt}]},
                    ),
                )
                for prompt in prompts
                for model in ("shouts", "echoes", "judge")
            ]
        )
        told = {}
        for run in begun:
            while (now := await client.evals.runs.retrieve(run.id, eval_id=made.id)).status not in (
                "completed",
                "failed",
            ):
                await asyncio.sleep(0.02)
            told[now.name] = now.result_counts.passed
    assert told["shouts {{item.q}}"] == told["echoes {{item.q}}"] == 1
    assert len(told) == 9
    assert sum(told.values()) == 3
