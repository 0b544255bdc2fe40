"""Evals, their runs and output items, and graders, in the words of OpenAPI."""

from __future__ import annotations

from stillhouse.wire.graders import DETAILS, FLAGS, METRICS, OPERATIONS
from stillhouse.wire.openapi.chat import cut
from stillhouse.wire.openapi.shapes import (
    JSON,
    Operation,
    Schema,
    array,
    asked,
    const,
    either,
    flag,
    number,
    or_null,
    page,
    record,
    ref,
    text,
    whole,
)
from stillhouse.wire.samples import EFFORTS

__all__ = ["operations", "schemas"]

EVALS, RUNS, GRADERS = "Evals", "Eval runs", "Graders"
STATUSES = ("queued", "in_progress", "completed", "failed", "canceled")
HTML = "text/html"


def operations() -> dict[tuple[str, str], Operation]:
    """By method and path."""
    return {**_evals(), **_runs(), **_graders()}


def schemas() -> dict[str, Schema]:
    """By name."""
    return {**_asked_for(), **_grader_schemas(), **_sources(), **_told(), "RunKey": text()}


def _evals() -> dict[tuple[str, str], Operation]:
    one = "/v1/evals/{eval_id}"
    pages = {**cut(), "order_by": text(("created_at", "updated_at"))}
    gone = record({"object": const("eval.deleted"), "deleted": const(True), "eval_id": text()})
    return {
        ("POST", "/v1/evals"): Operation(
            "createEval", "A new eval.", EVALS, {JSON: ref("Eval")}, status=201, body=ref("NewEval")
        ),
        ("GET", "/v1/evals"): Operation("listEvals", "Evals.", EVALS, {JSON: page("Eval")}, query=pages),
        ("GET", one): Operation("getEval", "An eval.", EVALS, {JSON: ref("Eval")}),
        ("POST", one): Operation(
            "updateEval", "Another name or metadata.", EVALS, {JSON: ref("Eval")}, body=ref("EvalUpdate")
        ),
        ("DELETE", one): Operation("deleteEval", "An eval no longer, nor its runs.", EVALS, {JSON: gone}),
    }


def _runs() -> dict[tuple[str, str], Operation]:
    runs, one = "/v1/evals/{eval_id}/runs", "/v1/evals/{eval_id}/runs/{run_id}"
    gone = record({"object": const("eval.run.deleted"), "deleted": const(True), "run_id": text()})
    pages, items = {**cut(), "status": text(STATUSES)}, {**cut(), "status": text(("pass", "fail", "failed", "error"))}
    run = {JSON: ref("EvalRun")}
    return {
        ("POST", runs): Operation("createEvalRun", "A new run, queued.", RUNS, run, status=201, body=ref("NewEvalRun")),
        ("GET", runs): Operation("getEvalRuns", "Runs of an eval.", RUNS, {JSON: page("EvalRun")}, query=pages),
        ("GET", one): Operation("getEvalRun", "A run, as far as it is.", RUNS, run),
        ("POST", one): Operation("cancelEvalRunAsOlderClientsDo", "A run goes no further.", RUNS, run),
        ("POST", f"{one}/cancel"): Operation("cancelEvalRun", "A run goes no further.", RUNS, run),
        ("DELETE", one): Operation("deleteEvalRun", "A run no longer.", RUNS, {JSON: gone}),
        ("GET", f"{one}/output_items"): Operation(
            "getEvalRunOutputItems", "What became of each row.", RUNS, {JSON: page("OutputItem")}, query=items
        ),
        ("GET", f"{one}/output_items/{{item_id}}"): Operation(
            "getEvalRunOutputItem", "What became of one row.", RUNS, {JSON: ref("OutputItem")}
        ),
        ("GET", "/evals/{eval_id}/runs/{run_id}"): Operation(
            "showEvalRun",
            "The page of a run, by the key in its address.",
            RUNS,
            {HTML: {}},
            query={"key": ref("RunKey")},
        ),
    }


def _graders() -> dict[tuple[str, str], Operation]:
    graders = "/v1/fine_tuning/alpha/graders"
    to_run = asked({"grader": ref("Grader"), "model_sample": text()}, {"item": {"type": "object"}})
    return {
        ("POST", f"{graders}/run"): Operation(
            "runGrader", "What a grader says of a sample.", GRADERS, {JSON: ref("GraderRun")}, body=to_run
        ),
        ("POST", f"{graders}/validate"): Operation(
            "validateGrader",
            "A grader as it is understood.",
            GRADERS,
            {JSON: record({"grader": {"type": "object"}})},
            body=asked({"grader": ref("Grader")}, {}),
        ),
    }


def _asked_for() -> dict[str, Schema]:
    stored = asked({"type": text(("logs", "stored_completions"))}, {"metadata": ref("Metadata")})
    custom = {"type": const("custom"), "item_schema": ref("JsonSchema")}
    criteria = array(ref("Criterion"), fewest=1)
    return {
        "NewEval": asked(
            {"data_source_config": ref("DataSourceConfig"), "testing_criteria": criteria},
            {"name": text(), "metadata": ref("Metadata")},
        ),
        "DataSourceConfig": either(asked(custom, {"include_sample_schema": flag()}), stored),
        "EvalUpdate": asked({}, {"name": text(), "metadata": ref("Metadata")}),
        "NewEvalRun": asked({"data_source": ref("DataSource")}, {"name": text(), "metadata": ref("Metadata")}),
    }


def _grader_schemas() -> dict[str, Schema]:
    """A criterion of an eval needs a name; other graders are called by their type without one."""
    kinds = ("StringCheck", "TextSimilarity", "ScoreModel", "PythonGrader", "LabelModel")
    named = [{"allOf": [ref(kind), asked({"name": text()}, {})]} for kind in kinds]
    texts = {"input": text(), "reference": text()}
    similar = {**texts, "evaluation_metric": text(METRICS), "pass_threshold": number(0, 1)}
    prompt, source = array(ref("PromptMessage"), fewest=1), {"type": const("python"), "source": text()}
    labels = {"labels": array(text(), fewest=1), "passing_labels": array(text(), fewest=1)}
    optional = {"range": array(number(), 2, 2), "pass_threshold": number(), "sampling_params": ref("Sampling")}
    graders = either({"type": "object", "additionalProperties": ref("InnerGrader")}, ref("InnerGrader"))
    multi = {"type": const("multi"), "graders": graders, "calculate_output": text()}
    return {
        "StringCheck": asked({"type": const("string_check"), **texts, "operation": text((*OPERATIONS, "neq"))}, {}),
        "TextSimilarity": asked({"type": const("text_similarity"), **similar}, {}),
        "ScoreModel": asked({"type": const("score_model"), "model": ref("ModelName"), "input": prompt}, optional),
        "PythonGrader": asked(source, {"pass_threshold": number(), "image_tag": text()}),
        "LabelModel": asked({"type": const("label_model"), "model": ref("ModelName"), "input": prompt, **labels}, {}),
        "MultiGrader": asked(multi, {"name": text()}),
        "InnerGrader": either(*[ref(kind) for kind in kinds]),
        "Grader": either(*[ref(kind) for kind in (*kinds[:4], "MultiGrader")]),
        "Criterion": either(*named),
        "PromptMessage": asked(
            {
                "role": text(("user", "assistant", "system", "developer")),
                "content": either(text(), ref("PromptPart"), array(ref("PromptPart"), fewest=1)),
            },
            {"type": const("message")},
        ),
        "PromptPart": either(
            text(),
            asked({"type": text(("input_text", "output_text", "text")), "text": text()}, {}),
            asked({"type": const("input_image"), "image_url": text()}, {"detail": text(("auto", "low", "high"))}),
        ),
        "Sampling": asked(
            {},
            {
                "temperature": number(0, 2),
                "top_p": number(0, 1),
                "seed": whole(),
                "max_completion_tokens": whole(1),
                "max_completions_tokens": whole(1),
                "reasoning_effort": text(EFFORTS),
                "response_format": {"type": "object"},
                "text": {"type": "object"},
                "tools": array({"type": "object"}),
            },
        ),
    }


def _sources() -> dict[str, Schema]:
    """What runs read."""
    row = asked({"item": {"type": "object"}}, {"sample": {"type": "object"}})
    rows = asked({"type": const("file_content"), "content": array(row, fewest=1)}, {})
    file = asked({"type": const("file_id"), "id": ref("FileId")}, {})
    filters = {"metadata": ref("Metadata"), "model": text(), "created_after": whole(0), "created_before": whole(0)}
    stored = asked({"type": const("stored_completions")}, {**filters, "limit": whole(1)})
    template = asked({"type": const("template"), "template": array(ref("PromptMessage"), fewest=1)}, {})
    item = asked({"type": const("item_reference"), "item_reference": text()}, {})
    asking = {"model": ref("ModelName"), "input_messages": either(template, item), "sampling_params": ref("Sampling")}
    return {
        "RowSource": either(rows, file),
        "DataSource": either(
            asked({"type": const("jsonl"), "source": ref("RowSource")}, {}),
            asked({"type": const("completions"), "source": either(rows, file, stored)}, asking),
            asked({"type": const("responses"), "source": ref("RowSource")}, asking),
        ),
    }


def _told() -> dict[str, Schema]:
    counts = {name: whole(0) for name in ("errored", "failed", "passed")}
    tokens = {name: whole(0) for name in ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens")}
    wrong = or_null(record({"code": text(), "message": text()}))
    result = {"name": text(), "type": text(), "passed": flag(), "score": or_null(number())}
    more = {"sample": or_null({"type": "object"}), "error": wrong}
    return {
        "Eval": record(
            {
                "object": const("eval"),
                "id": text(),
                "name": text(),
                "created_at": whole(),
                "data_source_config": record(
                    {"type": text(), "metadata": ref("Metadata"), "schema": {}}, ("metadata",)
                ),
                "testing_criteria": array({"type": "object", "required": ["type", "name", "id"]}),
                "metadata": ref("Metadata"),
            }
        ),
        "EvalRun": record(
            {
                "object": const("eval.run"),
                "id": text(),
                "eval_id": text(),
                "report_url": text(),
                "status": text(STATUSES),
                "model": or_null(text()),
                "name": text(),
                "created_at": whole(),
                "result_counts": record({"total": whole(0), **counts}),
                "per_model_usage": array(record({"model_name": text(), "invocation_count": whole(0), **tokens})),
                "per_testing_criteria_results": array(record({"testing_criteria": text(), **counts})),
                "data_source": {"type": "object", "required": ["type", "source"]},
                "error": wrong,
                "metadata": ref("Metadata"),
            }
        ),
        "OutputItem": record(
            {
                "object": const("eval.run.output_item"),
                "id": text(),
                "created_at": whole(),
                "run_id": text(),
                "eval_id": text(),
                "status": text(("pass", "fail", "error")),
                "datasource_item_id": whole(0),
                "datasource_item": {"type": "object"},
                "results": array(record({**result, **more}, ("error",))),
                "sample": {"type": "object"},
            }
        ),
        "GraderRun": _grader_run(tokens),
    }


def _grader_run(tokens: dict[str, Schema]) -> Schema:
    scores: Schema = {"type": "object", "additionalProperties": number()}
    errors = {**{name: flag() for name in FLAGS}, **{name: or_null(text()) for name in DETAILS}}
    return record(
        {
            "reward": number(),
            "sub_rewards": scores,
            "model_grader_token_usage_per_model": {"type": "object", "additionalProperties": record(tokens)},
            "metadata": record(
                {
                    "name": text(),
                    "type": text(),
                    "execution_time": number(0),
                    "scores": scores,
                    "token_usage": or_null(whole(0)),
                    "sampled_model_name": or_null(text()),
                    "errors": record(errors),
                }
            ),
        }
    )
