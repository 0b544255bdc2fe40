"""Graders are read strictly, echoed so that the SDK reads them back, and run results have every flag."""

from __future__ import annotations

import json

import pytest
from openai.types.eval_create_response import EvalCreateResponse
from openai.types.fine_tuning.alpha.grader_run_response import GraderRunResponse
from openai.types.fine_tuning.alpha.grader_validate_response import GraderValidateResponse
from openai.types.graders import LabelModelGrader, PythonGrader, ScoreModelGrader, StringCheckGrader

from stillhouse.wire.errors import WireError
from stillhouse.wire.graders import (
    LabelModel,
    Multi,
    Python,
    Ran,
    ScoreModel,
    StringCheck,
    TextSimilarity,
    read_grader,
    read_grader_run,
    read_grader_validation,
    write_grader,
    write_grader_run,
    write_grader_validation,
)
from stillhouse.wire.samples import Sampling, Tokens

INPUT = [{"role": "user", "content": "{{item.q}}"}]
CHECK = {"type": "string_check", "name": "c", "input": "{{item.a}}", "reference": "b", "operation": "eq"}
ALIKE = {"type": "text_similarity", "name": "t", "input": "a", "reference": "b", "evaluation_metric": "bleu",
         "pass_threshold": 0.4}  # fmt: skip
LABEL = {
    "type": "label_model",
    "name": "l",
    "model": "m",
    "input": INPUT,
    "labels": ["a", "b"],
    "passing_labels": ["a"],
}
SCORE = {"type": "score_model", "name": "s", "model": "m", "input": INPUT, "range": [1, 7]}
PYTHON = {"type": "python", "name": "p", "source": "def grade(sample, item): return 1.0"}
MULTI = {"type": "multi", "name": "m", "graders": {"one": CHECK, "two": {**ALIKE}}, "calculate_output": "one + two"}


def without(value: dict, *names: str) -> dict:
    return {key: kept for key, kept in value.items() if key not in names}


def test_each_is_read():
    assert read_grader(CHECK, "", "eval") == StringCheck("c", "{{item.a}}", "b", "eq")
    assert read_grader(ALIKE, "", "eval") == TextSimilarity("t", "a", "b", "bleu", 0.4)
    label, score = read_grader(LABEL, "", "eval"), read_grader(SCORE, "", "eval")
    assert isinstance(label, LabelModel)
    assert (label.labels, label.passing, label.model) == (("a", "b"), ("a",), "m")
    assert isinstance(score, ScoreModel)
    assert (score.range, score.pass_threshold, score.sampling) == ((1.0, 7.0), 4.0, Sampling())
    assert read_grader(PYTHON, "", "eval") == Python("p", PYTHON["source"], 0.5)
    multi = read_grader(MULTI, "", "api")
    assert isinstance(multi, Multi)
    assert (list(multi.graders), multi.formula) == (["one", "two"], "one + two")


def test_defaults():
    assert getattr(read_grader(without(SCORE, "range"), "", "eval"), "pass_threshold", None) == 0.5
    assert getattr(read_grader({**SCORE, "pass_threshold": 0}, "", "eval"), "pass_threshold", None) == 0.0
    assert getattr(read_grader(without(ALIKE, "pass_threshold"), "", "api"), "pass_threshold", None) == 0.5
    assert getattr(read_grader({**CHECK, "operation": "neq"}, "", "eval"), "operation", None) == "ne"
    assert read_grader(without(PYTHON, "name"), "", "api").name == "python"
    assert read_grader(without(MULTI, "name"), "", "api").name == "multi"


def test_a_multi_grader_holds_one_or_several_with_or_without_names():
    single = read_grader({**MULTI, "graders": CHECK}, "", "api")
    nameless = read_grader({**MULTI, "graders": {"one": without(CHECK, "name"), "l": LABEL}}, "", "api")
    assert isinstance(single, Multi)
    assert isinstance(nameless, Multi)
    assert (list(single.graders), single.graders["c"].name) == (["c"], "c")
    assert [grader.name for grader in nameless.graders.values()] == ["one", "l"]


@pytest.mark.parametrize(
    ("value", "place", "code", "param"),
    [
        ("x", "eval", "invalid_type", "g"),
        ({}, "eval", "missing_required_parameter", "g.type"),
        ({"type": "vibes"}, "eval", "invalid_value", "g.type"),
        (MULTI, "eval", "invalid_value", "g.type"),
        (LABEL, "api", "invalid_value", "g.type"),
        (without(CHECK, "name"), "eval", "missing_required_parameter", "g.name"),
        (without(CHECK, "reference"), "eval", "missing_required_parameter", "g.reference"),
        ({**CHECK, "input": 3}, "eval", "invalid_type", "g.input"),
        ({**CHECK, "operation": "matches"}, "eval", "invalid_value", "g.operation"),
        ({**ALIKE, "evaluation_metric": "rouge_6"}, "eval", "invalid_value", "g.evaluation_metric"),
        (without(ALIKE, "pass_threshold"), "eval", "missing_required_parameter", "g.pass_threshold"),
        ({**ALIKE, "pass_threshold": 1.5}, "eval", "decimal_above_max_value", "g.pass_threshold"),
        (without(LABEL, "model"), "eval", "missing_required_parameter", "g.model"),
        ({**LABEL, "labels": []}, "eval", "array_below_min_length", "g.labels"),
        ({**LABEL, "labels": ["a", 1]}, "eval", "invalid_type", "g.labels[1]"),
        ({**LABEL, "labels": ["a", "a"]}, "eval", "invalid_value", "g.labels"),
        ({**LABEL, "passing_labels": ["a", "z"]}, "eval", "invalid_value", "g.passing_labels[1]"),
        ({**SCORE, "range": [7, 1]}, "eval", "invalid_value", "g.range"),
        ({**SCORE, "range": [1]}, "eval", "invalid_value", "g.range"),
        ({**SCORE, "range": ["a", 1]}, "eval", "invalid_value", "g.range"),
        ({**SCORE, "input": []}, "eval", "array_below_min_length", "g.input"),
        ({**SCORE, "input": [{"role": "boss", "content": ""}]}, "eval", "invalid_value", "g.input[0].role"),
        ({**SCORE, "sampling_params": {"temperature": 3}}, "eval", "decimal_above_max_value",
         "g.sampling_params.temperature"),
        ({**PYTHON, "source": "x" * (256 * 1024 + 1)}, "eval", "string_above_max_length", "g.source"),
        ({**MULTI, "graders": {}}, "api", "invalid_value", "g.graders"),
        ({**MULTI, "graders": {"one": MULTI}}, "api", "invalid_value", "g.graders.one.type"),
        ({**MULTI, "graders": {"one": without(CHECK, "input")}}, "api", "missing_required_parameter",
         "g.graders.one.input"),
        (without(MULTI, "calculate_output"), "api", "missing_required_parameter", "g.calculate_output"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(value, place, code, param):
    with pytest.raises(WireError) as caught:
        read_grader(value, "g", place)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("value", [CHECK, ALIKE, LABEL, SCORE, PYTHON, {**SCORE, "sampling_params": {"seed": 1}}])
def test_the_echo_says_the_same_and_what_was_resolved(value):
    grader = read_grader(value, "", "eval")
    echo = write_grader(grader)
    assert without(echo, "input", "pass_threshold") == without(value, "input", "pass_threshold")
    assert echo.get("pass_threshold", 0) == getattr(grader, "pass_threshold", 0)
    assert read_grader(echo, "", "eval") == grader


def test_the_echo_of_several():
    multi = read_grader(MULTI, "", "api")
    assert read_grader(write_grader(multi), "", "api") == multi


def test_the_sdk_reads_each_back_as_what_it_is():
    criteria = [
        {**write_grader(read_grader(one, "", "eval")), "id": "x"} for one in (CHECK, ALIKE, LABEL, SCORE, PYTHON)
    ]
    config = {"type": "custom", "schema": {}}
    body = {"id": "eval_1", "object": "eval", "created_at": 1, "name": "n", "metadata": {}}
    parsed = EvalCreateResponse.model_validate({**body, "data_source_config": config, "testing_criteria": criteria})
    kinds = [type(one) for one in parsed.testing_criteria]
    assert issubclass(kinds[0], StringCheckGrader)
    assert issubclass(kinds[2], LabelModelGrader)
    assert issubclass(kinds[3], ScoreModelGrader)
    assert issubclass(kinds[4], PythonGrader)


def test_a_run_shows_reward_scores_tokens_and_every_flag():
    faults = {"python_grader_runtime_error": "ZeroDivisionError", "invalid_variable_error": "item.x"}
    ran = Ran(0.0, {"one": 1.0}, {"judge": Tokens(5, 2, 1)}, faults, 0.25)
    written = write_grader_run(read_grader({**MULTI, "graders": {"one": CHECK, "s": SCORE}}, "", "api"), ran)
    read = GraderRunResponse.model_validate(written)
    assert (read.reward, read.sub_rewards, read.metadata.type, read.metadata.token_usage) == (
        0.0,
        {"one": 1.0},
        "multi",
        7,
    )
    assert read.metadata.sampled_model_name == "m"
    errors = read.metadata.errors
    assert errors.python_grader_runtime_error
    assert errors.python_grader_runtime_error_details == "ZeroDivisionError"
    assert errors.invalid_variable_error
    assert not errors.formula_parse_error
    assert not errors.api_model_grader_server_error
    assert set(written["metadata"]["errors"]) >= {"sample_parse_error", "truncated_observation_error", "other_error"}
    assert written["model_grader_token_usage_per_model"]["judge"]["cached_tokens"] == 1


def test_what_is_to_be_run():
    to_run = read_grader_run(json.dumps({"grader": MULTI, "model_sample": '{"x": 1}', "item": {"a": "b"}}).encode())
    assert (to_run.grader, to_run.item) == (read_grader(MULTI, "", "api"), {"a": "b"})
    assert to_run.sample.variables["output_json"] == {"x": 1}
    assert read_grader_run(json.dumps({"grader": CHECK, "model_sample": ""}).encode()).item == {}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model_sample": "x"}, "grader"),
        ({"grader": CHECK}, "model_sample"),
        ({"grader": CHECK, "model_sample": 1}, "model_sample"),
        ({"grader": LABEL, "model_sample": "x"}, "grader.type"),
        ({"grader": CHECK, "model_sample": "x", "item": []}, "item"),
        ({"grader": {**MULTI, "graders": {"a": {"type": "x"}}}}, "grader.graders.a.type"),
    ],
)
def test_what_cannot_be_run_is_named(body, param):
    with pytest.raises(WireError) as caught:
        read_grader_run(json.dumps(body).encode())
    assert caught.value.param == param


def test_a_right_grader_is_echoed():
    grader = read_grader_validation(json.dumps({"grader": SCORE}).encode())
    echo = write_grader_validation(grader)["grader"]
    assert (echo["pass_threshold"], echo["range"]) == (4.0, [1.0, 7.0])
    GraderValidateResponse.model_validate({"grader": echo})
