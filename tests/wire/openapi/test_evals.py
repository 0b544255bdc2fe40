"""The schemas of evals and graders hold of what is written, and of what is read."""

from __future__ import annotations

import json

import pytest

from stillhouse.wire.errors import WireError
from stillhouse.wire.evals import (
    Config,
    Counts,
    OutputItem,
    Progress,
    Result,
    Run,
    read_eval,
    read_run,
    write_eval_deleted,
    write_output_item,
    write_run,
    write_run_deleted,
)
from stillhouse.wire.graders import Ran, read_grader_run, write_grader_run
from stillhouse.wire.openapi.evals import operations, schemas
from stillhouse.wire.samples import Tokens
from tests.wire.openapi.schemas import mismatch

MESSAGES = [{"role": "user", "content": "Is {{item.a}} right?"}]
GRADERS = {
    "string_check": {"input": "a", "reference": "b", "operation": "ilike"},
    "text_similarity": {"input": "a", "reference": "b", "evaluation_metric": "rouge_l", "pass_threshold": 0.5},
    "score_model": {"model": "judge", "input": MESSAGES, "range": [0, 7], "sampling_params": {"temperature": 0}},
    "label_model": {"model": "judge", "input": MESSAGES, "labels": ["a", "b"], "passing_labels": ["a"]},
    "python": {"source": "def grade(sample, item): return 1.0"},
}
CONFIG = {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True}
TOKENS = {"judge": (2, Tokens(10, 3))}


def an_eval(kind: str, **more: object) -> dict:
    return {
        "data_source_config": CONFIG,
        "testing_criteria": [{"type": kind, "name": "one", **GRADERS[kind], **more}],
    }


@pytest.mark.parametrize("kind", GRADERS)
def test_every_grader_that_is_allowed_is_read(kind):
    assert mismatch("NewEval", an_eval(kind)) is None
    read_eval(json.dumps(an_eval(kind)).encode())
    assert mismatch("Grader", {"type": kind, **GRADERS[kind]}) is None or kind == "label_model"


@pytest.mark.parametrize(
    "wrong",
    [
        an_eval("string_check", operation="near"),
        an_eval("string_check", name=None),
        an_eval("text_similarity", evaluation_metric="guess"),
        an_eval("text_similarity", pass_threshold=2),
        an_eval("score_model", range=[1]),
        an_eval("label_model", labels=[]),
        an_eval("python") | {"testing_criteria": []},
        an_eval("python") | {"data_source_config": {"type": "other"}},
    ],
)
def test_what_is_forbidden_is_refused(wrong):
    assert mismatch("NewEval", wrong)
    with pytest.raises(WireError):
        read_eval(json.dumps(wrong).encode())


@pytest.mark.parametrize(
    "source",
    [
        {"type": "jsonl", "source": {"type": "file_id", "id": "file-1"}},
        {"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {"a": 1}}]}},
        {"type": "completions", "model": "m", "source": {"type": "stored_completions", "limit": 5}},
        {
            "type": "responses",
            "model": "m",
            "source": {"type": "file_id", "id": "file-1"},
            "input_messages": {"type": "template", "template": MESSAGES},
        },
    ],
)
def test_every_source_that_is_allowed_is_read(source):
    asked = {"data_source": source}
    assert mismatch("NewEvalRun", asked) is None
    read_run(json.dumps(asked).encode(), Config("custom", {"type": "object"}, True, {}))


def test_runs_and_items_are_as_they_are_told():
    run = Run("evalrun_1", "eval_1", "r", None, 5, {"type": "jsonl", "source": {}}, {"a": "b"}, "http://here")
    counts = Counts(1, 2, 3)
    for progress in (
        Progress("queued", Counts(), {}, {}),
        Progress("failed", counts, {"one": counts}, TOKENS, ("bad", "it failed")),
    ):
        assert mismatch("EvalRun", write_run(run, progress)) is None
    results = (
        Result("one", "string_check", 1.0, True),
        Result("two", "score_model", None, False, {"input": []}, ("x", "cannot tell")),
    )
    item = OutputItem("outputitem_1", "evalrun_1", "eval_1", 5, 0, {"a": 1}, "error", results, {"output": []})
    assert mismatch("OutputItem", write_output_item(item)) is None


def test_deletions_are_as_they_are_told():
    told = operations()
    assert mismatch(told["DELETE", "/v1/evals/{eval_id}"], write_eval_deleted("eval_1")) is None
    assert mismatch(told["DELETE", "/v1/evals/{eval_id}/runs/{run_id}"], write_run_deleted("evalrun_1")) is None


def test_what_a_grader_says_is_as_it_is_told():
    multi = {"type": "multi", "graders": {"a": {"type": "string_check", **GRADERS["string_check"]}}}
    asked = {"grader": multi | {"calculate_output": "a"}, "model_sample": "x"}
    assert mismatch("Grader", asked["grader"]) is None
    grader = read_grader_run(json.dumps(asked).encode()).grader
    for ran in (
        Ran(1.0, {"a": 1.0}, {}, {}, 0.1),
        Ran(0.0, {}, {"judge": Tokens(1, 2)}, {"python_grader_server_error": "gone"}, 0.1),
    ):
        assert mismatch("GraderRun", write_grader_run(grader, ran)) is None
    assert "GraderRun" in schemas()
