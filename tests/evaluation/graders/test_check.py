"""What cannot work is refused before anything is spent, with its path."""

from __future__ import annotations

import orjson
import pytest

from stillhouse.evaluation.graders.build import Means
from stillhouse.evaluation.graders.check import (
    Known,
    check_eval,
    check_grader,
    check_prompt,
    check_reference,
    check_run,
)
from stillhouse.evaluation.graders.sandbox import Sandbox
from stillhouse.wire.errors import WireError
from stillhouse.wire.evals import read_eval, read_run
from stillhouse.wire.fields import Fields
from stillhouse.wire.graders import read_grader
from stillhouse.wire.prompts import read_prompt
from tests.evaluation.graders.judges import Judge

CHECK = {"type": "string_check", "name": "c", "input": "{{item.a}}", "reference": "{{sample.output_text}}",
         "operation": "eq"}  # fmt: skip
COSINE = {"type": "text_similarity", "name": "t", "input": "a", "reference": "b", "evaluation_metric": "cosine",
          "pass_threshold": 0.5}  # fmt: skip
SCORE = {"type": "score_model", "name": "s", "model": "m",
         "input": [{"role": "system", "content": "x"}, {"role": "user", "content": ["{{item.z}}"]}]}  # fmt: skip
PYTHON = {"type": "python", "name": "p", "source": "syntax error here, which only the sandbox may look at"}
OPEN = {"type": "object", "properties": {"a": {}}}
CLOSED = {**OPEN, "additionalProperties": False}


async def letters(texts):
    return [[1.0] for _ in texts]


def check(grader: dict, known: Known, means: Means | None = None, place="eval") -> None:
    check_grader(read_grader(grader, "g", place), "g", means or Means(Judge("")), known)


def test_what_can_work_passes():
    check(CHECK, Known())
    check(CHECK, Known(CLOSED))
    check(SCORE, Known(OPEN, sample=False))
    check(COSINE, Known(), Means(Judge(""), embed=letters))
    check(PYTHON, Known(), Means(Judge(""), sandbox=Sandbox()))
    check({"type": "multi", "graders": {"c": CHECK}, "calculate_output": "c ^ 2"}, Known(), place="api")


@pytest.mark.parametrize(
    ("grader", "known", "code", "param", "told"),
    [
        (CHECK, Known(sample=False), "invalid_value", "g.reference", "include_sample_schema"),
        ({**CHECK, "input": "{{item.b}}"}, Known(CLOSED), "invalid_value", "g.input", "has no 'b'"),
        ({**CHECK, "input": "{{x.b}}"}, Known(), "invalid_value", "g.input", "not a place to fill in"),
        ({**CHECK, "input": "{{item.a | trim}}"}, Known(), "invalid_value", "g.input", "not a place to fill in"),
        (SCORE, Known(CLOSED), "invalid_value", "g.input[1].content", "has no 'z'"),
        (COSINE, Known(), "unsupported_feature", "g.evaluation_metric", "embedder"),
        (PYTHON, Known(), "unsupported_feature", "g.type", "not enabled"),
    ],
)
def test_what_cannot_is_named(grader, known, code, param, told):
    with pytest.raises(WireError) as caught:
        check(grader, known)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("formula", "graders", "param"),
    [
        ("c + d", {"c": CHECK}, "g.calculate_output"),
        ("c +", {"c": CHECK}, "g.calculate_output"),
        ("c", {"c": {**CHECK, "input": "{{}}"}}, "g.graders.c.input"),
    ],
)
def test_within_several_too(formula, graders, param):
    with pytest.raises(WireError) as caught:
        check({"type": "multi", "graders": graders, "calculate_output": formula}, Known(), place="api")
    assert caught.value.param == param


def test_prompts_and_references_of_runs():
    prompt = read_prompt(Fields({"template": [{"role": "user", "content": "{{item.a}}{{item.b}}"}]}), "template")
    check_prompt(prompt, "template", Known(OPEN))
    check_reference("item.input", "reference", Known(OPEN))
    for fails in (
        lambda: check_prompt(prompt, "template", Known(CLOSED)),
        lambda: check_reference("item.input", "template", Known(CLOSED)),
        lambda: check_reference("input", "template", Known()),
        lambda: check_reference("sample.x", "template", Known(sample=False)),
    ):
        with pytest.raises(WireError) as caught:
            fails()
        assert caught.value.code == "invalid_value"
        assert (caught.value.param or "").startswith("template")


def test_a_whole_eval_and_its_runs():
    config = {"type": "custom", "item_schema": CLOSED}
    new = read_eval(orjson.dumps({"data_source_config": config, "testing_criteria": [SCORE, CHECK]}))
    with pytest.raises(WireError) as caught:
        check_eval(new, Means(Judge("")))
    assert caught.value.param == "testing_criteria[0].input[1].content"
    source = {"type": "file_content", "content": [{"item": {"a": 1}}]}
    for messages, param in (
        ({"type": "template", "template": [{"role": "user", "content": "{{item.b}}"}]}, "template[0].content"),
        (
            {"type": "template", "template": [{"role": "user", "content": "{{sample.output_text}}"}]},
            "template[0].content",
        ),
        ({"type": "item_reference", "item_reference": "item.input"}, "item_reference"),
        ({"type": "item_reference", "item_reference": "item.a"}, None),
    ):
        asked = {"type": "completions", "source": source, "model": "m", "input_messages": messages}
        run = read_run(orjson.dumps({"data_source": asked}), new.config)
        if param is None:
            check_run(run, new.config)
            continue
        with pytest.raises(WireError) as caught:
            check_run(run, new.config)
        assert caught.value.param == f"data_source.input_messages.{param}"
    check_run(read_run(orjson.dumps({"data_source": {"type": "jsonl", "source": source}}), new.config), new.config)
