"""Evals, runs and output items, written so that the SDK reads them and read so that mistakes have a path."""

from __future__ import annotations

import json

import pytest
from openai.types.eval_create_response import EvalCreateResponse
from openai.types.eval_custom_data_source_config import EvalCustomDataSourceConfig
from openai.types.evals.run_retrieve_response import RunRetrieveResponse
from openai.types.evals.runs.output_item_retrieve_response import OutputItemRetrieveResponse

from stillhouse.wire.data_sources import FileContent, write_data_source
from stillhouse.wire.errors import WireError
from stillhouse.wire.evals import (
    Counts,
    Criterion,
    Eval,
    OutputItem,
    Progress,
    Result,
    Run,
    read_eval,
    read_eval_update,
    read_run,
    restore_eval,
    write_eval,
    write_eval_deleted,
    write_output_item,
    write_run,
    write_run_deleted,
)
from stillhouse.wire.samples import Sampling, Tokens, sample_of_text, write_sample

ITEM = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
CUSTOM = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
CHECK = {"type": "string_check", "name": "same", "input": "{{sample.output_text}}", "reference": "{{item.q}}",
         "operation": "eq"}  # fmt: skip
BODY = {"name": "n", "data_source_config": CUSTOM, "testing_criteria": [CHECK], "metadata": {"k": "v"}}


def body(**changes: object) -> bytes:
    return json.dumps({key: value for key, value in {**BODY, **changes}.items() if value is not ...}).encode()


def made(**changes: object) -> Eval:
    new = read_eval(body(**changes))
    criteria = tuple([Criterion(f"{grader.name}-1", grader) for grader in new.criteria])
    return Eval("eval_1", new.name or "", 7, new.config, criteria, new.metadata)


def test_an_eval_is_echoed_with_its_schema_and_criterion_ids():
    written = write_eval(made())
    read = EvalCreateResponse.model_validate(written)
    assert isinstance(read.data_source_config, EvalCustomDataSourceConfig)
    schema = written["data_source_config"]["schema"]
    assert (schema["properties"]["item"], schema["required"]) == (ITEM, ["item", "sample"])
    assert "item_schema" not in written["data_source_config"]
    assert written["testing_criteria"] == [{**CHECK, "id": "same-1"}]
    assert (read.name, read.metadata, read.created_at) == ("n", {"k": "v"}, 7)


@pytest.mark.parametrize(
    "config", [CUSTOM, {**CUSTOM, "include_sample_schema": False}, {"type": "logs", "metadata": {"usecase": "x"}}]
)
def test_an_eval_that_was_kept_as_json_comes_back(config):
    one = made(data_source_config=config)
    assert restore_eval(json.loads(json.dumps(write_eval(one)))) == one


def test_without_samples_the_schema_has_none():
    written = write_eval(made(data_source_config={"type": "custom", "item_schema": ITEM}))
    assert written["data_source_config"]["schema"]["required"] == ["item"]


@pytest.mark.parametrize("kind", ["logs", "stored_completions"])
def test_stored_completions_have_a_schema_of_their_own(kind):
    written = write_eval(made(data_source_config={"type": kind, "metadata": {"usecase": "x"}}))
    config = written["data_source_config"]
    assert (config["type"], config["metadata"]) == (kind, {"usecase": "x"})
    assert config["schema"]["required"] == ["item", "sample"]
    assert EvalCreateResponse.model_validate(written).data_source_config.type == kind


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"data_source_config": ...}, "missing_required_parameter", "data_source_config"),
        ({"data_source_config": {"type": "file"}}, "invalid_value", "data_source_config.type"),
        ({"data_source_config": {"type": "custom"}}, "missing_required_parameter", "data_source_config.item_schema"),
        ({"data_source_config": {**CUSTOM, "item_schema": {"type": "objekt"}}}, "invalid_value",
         "data_source_config.item_schema"),
        ({"data_source_config": {**CUSTOM, "include_sample_schema": "yes"}}, "invalid_type",
         "data_source_config.include_sample_schema"),
        ({"testing_criteria": ...}, "missing_required_parameter", "testing_criteria"),
        ({"testing_criteria": []}, "array_below_min_length", "testing_criteria"),
        ({"testing_criteria": [CHECK, {**CHECK, "operation": "x"}]}, "invalid_value", "testing_criteria[1].operation"),
        ({"metadata": {"k": 1}}, "invalid_type", "metadata.k"),
        ({"name": 3}, "invalid_type", "name"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_eval_is_named(changes, code, param):
    with pytest.raises(WireError) as caught:
        read_eval(body(**changes))
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_object_is_refused(text):
    for read in (read_eval, read_eval_update):
        with pytest.raises(WireError):
            read(text)


def test_an_update_changes_what_it_names():
    assert read_eval_update(b'{"name": "new"}') == ("new", None)
    assert read_eval_update(b'{"metadata": {}}') == (None, {})


def test_a_run_is_read_against_the_schema_of_its_eval():
    content = [{"item": {"q": "a"}, "sample": {"output_text": "a"}}]
    source = {"type": "jsonl", "source": {"type": "file_content", "content": content}}
    new = read_run(json.dumps({"data_source": source, "name": "r"}).encode(), made().config)
    assert isinstance(new.source.source, FileContent)
    assert (new.name, write_data_source(new.source)) == ("r", source)
    content[0]["item"]["q"] = 3  # pyright: ignore[reportArgumentType]
    with pytest.raises(WireError) as caught:
        read_run(json.dumps({"data_source": source}).encode(), made().config)
    assert caught.value.param == "data_source.source.content[0].item"
    assert "item.q: 3 is not of type 'string'" in str(caught.value)


def test_a_run_and_its_progress_are_shown_as_the_sdk_reads_them():
    source = {"type": "jsonl", "source": {"type": "file_id", "id": "file-1"}}
    run = Run("evalrun_1", "eval_1", "r", "m", 7, source, {}, "http://localhost/runs/evalrun_1")
    progress = Progress("in_progress", Counts(2, 1, 1), {"same-1": Counts(2, 1, 1)}, {"m": (3, Tokens(5, 2, 1))})
    read = RunRetrieveResponse.model_validate({**write_run(run, progress), "error": {"code": "", "message": ""}})
    assert (read.status, read.result_counts.total, read.result_counts.errored) == ("in_progress", 4, 1)
    assert read.per_testing_criteria_results[0].testing_criteria == "same-1"
    assert (read.per_model_usage[0].total_tokens, read.per_model_usage[0].invocation_count) == (7, 3)
    queued = write_run(run, Progress("queued", Counts(), {}, {}))
    assert (queued["per_model_usage"], queued["per_testing_criteria_results"], queued["error"]) == ([], [], None)
    failed = write_run(run, Progress("failed", Counts(), {}, {}, ("invalid_data", "no row fits")))
    assert failed["error"] == {"code": "invalid_data", "message": "no row fits"}


def test_an_item_is_shown_as_the_sdk_reads_it():
    sample = write_sample(sample_of_text("a"), [{"role": "user", "content": "q"}], Sampling(1.0, 1.0, 42, 9), None)
    results = (Result("same-1", "string_check", 1.0, True), Result("judge-1", "score_model", 0.5, False, sample))
    item = OutputItem("outputitem_1", "evalrun_1", "eval_1", 7, 0, {"q": "a"}, "fail", results, sample)
    written = write_output_item(item)
    told = {**written["sample"], "error": {"code": "", "message": ""}, "model": "m"}
    read = OutputItemRetrieveResponse.model_validate({**written, "sample": told})
    assert [(one.name, one.passed, one.score) for one in read.results] == [
        ("same-1", True, 1.0),
        ("judge-1", False, 0.5),
    ]
    assert read.results[1].sample is not None
    assert (read.status, read.datasource_item_id, read.datasource_item) == ("fail", 0, {"q": "a"})
    assert read.sample.output[0].content == "a"


def test_a_criterion_that_could_not_tell_has_no_score():
    result = Result("p-1", "python", None, False, error=("python_grader_runtime_error", "ZeroDivisionError"))
    item = OutputItem("o", "r", "e", 7, 3, {}, "error", (result,), {})
    written = write_output_item(item)["results"][0]
    assert (written["score"], written["passed"], written["error"]["code"]) == (
        None,
        False,
        "python_grader_runtime_error",
    )


def test_what_is_gone_is_told():
    assert write_eval_deleted("eval_1") == {"object": "eval.deleted", "deleted": True, "eval_id": "eval_1"}
    assert write_run_deleted("evalrun_1") == {"object": "eval.run.deleted", "deleted": True, "run_id": "evalrun_1"}
