"""Graders tried out through the unmodified SDK: what they say, what went wrong inside, and what cannot work."""

from __future__ import annotations

import asyncio
import math

import openai
import pytest
from openai import OpenAI

from stillhouse.evaluation.graders.sandbox import WALLS, Sandbox
from tests.jobs.evaluating import world

CHECK = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{item.a}}",
    "operation": "eq",
}
SIMILAR = {**CHECK, "type": "text_similarity", "name": "like", "evaluation_metric": "rouge_l"}
SCORE = {
    "type": "score_model",
    "name": "long",
    "model": "judge",
    "range": [0, 9],
    "input": [{"role": "user", "content": "{{sample.output_text}}"}],
}
PYTHON = {"type": "python", "name": "code", "source": "def grade(sample, item):\n    return len(item['a']) / 4"}


async def embed(texts):
    """Vectors that count letters."""
    return [[text.count(letter) for letter in "abcdefghij"] for text in texts]


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    with world(tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture(scope="module")
def sdk(where):
    with OpenAI(base_url=where.base_url, api_key="k", max_retries=0) as client:
        yield client.fine_tuning.alpha.graders


@pytest.mark.parametrize(("text", "reward"), [("yes", 1.0), ("no", 0.0)])
def test_a_string_check(sdk, text, reward):
    told = sdk.run(grader=CHECK, model_sample=text, item={"a": "yes"})
    assert (told.reward, told.metadata.name, told.metadata.type) == (reward, "same", "string_check")
    assert not any(value is True for value in told.metadata.errors.to_dict().values())


def test_a_judge_is_asked_through_this_servers_own_models(sdk, where):
    told = sdk.run(grader=SCORE, model_sample="three words here")
    assert told.reward == 3.0
    assert told.metadata.sampled_model_name == "judge"
    assert told.model_grader_token_usage_per_model["judge"]["total_tokens"] == 5
    assert where.upstream.calls[-1]["response_format"]["json_schema"]["strict"] is True


def test_several_graders_and_a_formula(sdk):
    multi = {
        "type": "multi",
        "name": "both",
        "graders": {"a": CHECK, "b": SCORE},
        "calculate_output": "0.5 * a + sqrt(b)",
    }
    told = sdk.run(grader=multi, model_sample="yes", item={"a": "yes"})
    assert told.reward == pytest.approx(0.5 + math.sqrt(1.0))
    assert told.sub_rewards == {"a": 1.0, "b": 1.0}


def test_what_goes_wrong_inside_is_an_answer(sdk):
    told = sdk.run(grader=CHECK, model_sample="yes")
    assert (told.reward, told.metadata.errors.invalid_variable_error) == (0.0, True)
    told = sdk.run(grader={**SCORE, "model": "nobody"}, model_sample="yes")
    assert (told.reward, told.metadata.errors.model_grader_server_error) == (0.0, True)
    assert "'nobody' does not exist" in told.metadata.errors.model_grader_server_error_details


def test_a_grader_that_can_work_is_echoed(sdk):
    assert sdk.validate(grader=SCORE).grader.to_dict() == {
        **SCORE,
        "pass_threshold": 4.5,
        "input": [{"type": "message", **SCORE["input"][0]}],
    }


@pytest.mark.parametrize(
    ("grader", "code", "param"),
    [
        ({**CHECK, "operation": "is"}, "invalid_value", "grader.operation"),
        ({**CHECK, "input": "{{user.name}}"}, "invalid_value", "grader.input"),
        ({**SIMILAR, "evaluation_metric": "cosine"}, "unsupported_feature", "grader.evaluation_metric"),
        (PYTHON, "unsupported_feature", "grader.type"),
        ({"type": "multi", "graders": {"a": CHECK}, "calculate_output": "a +"}, "invalid_value",
         "grader.calculate_output"),
    ],
)  # fmt: skip
def test_one_that_cannot_is_refused_with_its_path(sdk, grader, code, param):
    for call in (lambda: sdk.validate(grader=grader), lambda: sdk.run(grader=grader, model_sample="x")):
        with pytest.raises(openai.BadRequestError) as caught:
            call()
        assert (caught.value.code, caught.value.param) == (code, param)


def test_python_and_cosine_where_they_are_enabled(tmp_path):
    sandbox = Sandbox(required=WALLS & asyncio.run(Sandbox().holds()))
    with world(tmp_path, embed=embed, sandbox=sandbox) as where, OpenAI(base_url=where.base_url, api_key="k") as client:
        graders = client.fine_tuning.alpha.graders
        assert graders.run(grader=PYTHON, model_sample="x", item={"a": "abc"}).reward == 0.75
        broken = graders.run(grader={**PYTHON, "source": "def grade(sample, item): return item['b']"}, model_sample="x")
        assert (broken.reward, broken.metadata.errors.python_grader_runtime_error) == (0.0, True)
        cosine = {**SIMILAR, "evaluation_metric": "cosine"}
        assert graders.run(grader=cosine, model_sample="abc", item={"a": "cab"}).reward == pytest.approx(1.0)
