"""What holds for every grader: whatever it is given, it grades or says that it cannot, and never raises."""

from __future__ import annotations

import math

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import TeacherUnavailable
from stillhouse.evaluation.graders.build import Means, build_grader
from stillhouse.evaluation.run import ran
from stillhouse.wire.graders import read_grader, write_grader, write_grader_run
from stillhouse.wire.samples import read_sample, sample_of_text
from tests.evaluation.graders.judges import Judge, verdict

TEXT, PROMPT = "{{sample.output_text}}", [{"role": "user", "content": "{{item.a}} {{sample.output_json.b}}"}]
CHECK = {"type": "string_check", "input": TEXT, "reference": "{{item.a}}", "operation": "ilike"}
METRICS = [
    {"type": "text_similarity", "input": TEXT, "reference": "{{item.a}}", "evaluation_metric": name}
    for name in ("fuzzy_match", "bleu", "gleu", "meteor", "cosine", "rouge_2", "rouge_l")
]
SCORE = {"type": "score_model", "model": "m", "input": PROMPT, "range": [0, 5]}
MULTI = {"type": "multi", "graders": {"c": CHECK, "s": SCORE}, "calculate_output": "c / s"}
PYTHON = {"type": "python", "source": "def grade(sample, item): return 1"}
GRADERS = {one.get("evaluation_metric", one["type"]): one for one in [CHECK, *METRICS, SCORE, MULTI, PYTHON]}

every_grader = pytest.mark.parametrize("grader", GRADERS)
texts = st.text() | st.sampled_from(["", "{}", '{"b": 1}', '{"b": "\\ud800"}', "{{item.a}}", "null", "[1]"])
values = st.none() | st.booleans() | st.integers(-5, 5) | texts | st.lists(texts, max_size=2)
items = st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2)
samples = st.none() | texts.map(lambda text: sample_of_text(text).variables)
verdicts = st.sampled_from([None, "", "{}", verdict(3), verdict(0), verdict("3"), verdict(None), verdict(-1e308)])


async def letters(given):
    return [[float(text.count("a")), float(len(text))] for text in given]


async def away(call):
    raise TeacherUnavailable("no connection")


@every_grader
@given(items, samples, verdicts)
@settings(max_examples=40)
async def test_it_grades_or_says_that_it_cannot(grader, item, sample, answer):
    spec = read_grader(GRADERS[grader], "g", "api")
    chat = away if answer is None else Judge(answer)
    grade = await build_grader(spec, Means(chat, letters))(item, sample)
    if grade.score is None:
        assert (grade.passed, bool(grade.faults), bool(grade.reason)) == (None, True, True)
    else:
        assert math.isfinite(grade.score)
        assert grade.passed is None or grade.passed == (grade.score >= getattr(spec, "pass_threshold", 1.0))
    written = write_grader_run(spec, ran(grade, 0.0))
    assert any(value is True for value in written["metadata"]["errors"].values()) or not grade.errored
    assert orjson.loads(orjson.dumps(written))["reward"] == (grade.score or 0.0)


@every_grader
def test_it_is_echoed_as_what_it_is(grader):
    spec = read_grader(GRADERS[grader], "g", "api")
    assert read_grader(orjson.loads(orjson.dumps(write_grader(spec))), "g", "api") == spec


@every_grader
async def test_grading_again_gives_the_same(grader):
    built = build_grader(read_grader(GRADERS[grader], "g", "api"), Means(Judge(verdict(2)), letters))
    sample = read_sample({"choices": [{"message": {"content": '{"b": "a"}'}}]}, "s").variables
    assert await built({"a": "b"}, sample) == await built({"a": "b"}, sample)
