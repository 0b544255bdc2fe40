"""A function of the user grades; where it cannot, that is no zero."""

from __future__ import annotations

import pytest

from stillhouse.evaluation.graders.python import PythonGrader
from stillhouse.evaluation.graders.sandbox import WALLS, Limits, Sandbox
from stillhouse.wire.graders import Python
from stillhouse.wire.samples import sample_of_text

SOURCE = """
def grade(sample, item):
    assert sample["output_tools"] == [] and sample["output_audio"] is None
    return 0.75 if sample["output_json"]["answer"] == item["answer"] else 0.0
"""


def grader(source: str, sandbox: Sandbox | None, threshold: float = 0.5) -> PythonGrader:
    return PythonGrader(Python("g", source, threshold), sandbox)


async def test_the_source_sees_sample_and_item():
    sandbox = Sandbox(Limits(seconds=20))
    if absent := WALLS - await sandbox.holds():
        pytest.skip(f"needs a kernel that can cut off {', '.join(sorted(absent))}")
    sample = sample_of_text('{"answer": 4}').variables
    grade = await grader(SOURCE, sandbox)({"answer": 4}, sample)
    assert (grade.score, grade.passed) == (0.75, True)
    assert (await grader(SOURCE, sandbox, 0.8)({"answer": 4}, sample)).passed is False
    assert (await grader(SOURCE, sandbox)({"answer": 5}, sample)).score == 0.0
    failed = await grader(SOURCE, sandbox)({"answer": 4}, sample_of_text("four").variables)
    assert failed.errored
    assert failed.faults[0].kind == "python_grader_runtime_error"
    assert "TypeError" in failed.faults[0].message


async def test_it_is_off_unless_enabled():
    grade = await grader(SOURCE, None)({}, {})
    assert grade.errored
    assert grade.faults[0].kind == "python_grader_server_error"
    assert "not enabled" in grade.faults[0].message
