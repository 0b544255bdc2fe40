"""What the JSON says, put to work."""

from __future__ import annotations

from stillhouse.evaluation.graders.build import Means, build_grader
from stillhouse.wire.graders import read_grader
from tests.evaluation.graders.judges import Judge, verdict

INPUT = [{"role": "user", "content": "{{item.a}} or {{sample.output_text}}?"}]
MULTI = {
    "type": "multi",
    "graders": {
        "check": {
            "type": "string_check",
            "input": "{{sample.output_text}}",
            "reference": "{{item.a}}",
            "operation": "eq",
        },
        "alike": {
            "type": "text_similarity",
            "input": "{{sample.output_text}}",
            "reference": "{{item.a}}",
            "evaluation_metric": "rouge_1",
        },
        "label": {"type": "label_model", "model": "j", "input": INPUT, "labels": ["1", "2"], "passing_labels": ["1"]},
        "score": {"type": "score_model", "model": "j", "input": INPUT, "range": [0, 10]},
        "python": {"type": "python", "source": "def grade(sample, item): return 1"},
    },
    "calculate_output": "check + 10 * alike + score",
}


async def test_every_kind_is_built_and_asked():
    judge = Judge(verdict(5))
    grader = build_grader(read_grader(MULTI, "", "api"), Means(judge))
    grade = await grader({"a": "x"}, {"output_text": "x"})
    assert grade.score == 1 + 10 + 5
    assert {key: part.score for key, part in grade.parts.items()} == {
        "check": 1.0,
        "alike": 1.0,
        "label": None,
        "score": 5.0,
        "python": None,
    }
    assert {fault.kind for fault in grade.faults} == {"model_grader_parse_error", "python_grader_server_error"}
    assert len(judge.calls) == len(grade.asked) == 2
