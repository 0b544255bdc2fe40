"""One score is computed from several, unless one of those it needs is missing."""

from __future__ import annotations

import pytest

from stillhouse.evaluation.graders.multi import MultiGrader
from stillhouse.evaluation.graders.string_check import StringCheckGrader
from stillhouse.evaluation.graders.text_similarity import TextSimilarityGrader
from stillhouse.wire.graders import Multi, StringCheck, TextSimilarity

SAME = StringCheck("same", "{{item.a}}", "{{item.b}}", "eq")
ALIKE = TextSimilarity("alike", "{{item.a}}", "{{item.b}}", "rouge_l", 0.5)
LOST = StringCheck("lost", "{{item.missing}}", "x", "eq")
ITEM = {"a": "police killed the gunman", "b": "police kill the gunman"}


def multi(formula: str) -> MultiGrader:
    spec = Multi("all", {"same": SAME, "alike": ALIKE, "lost": LOST}, formula)
    graders = {"same": StringCheckGrader(SAME), "alike": TextSimilarityGrader(ALIKE), "lost": StringCheckGrader(LOST)}
    return MultiGrader(spec, graders)


async def test_the_formula_is_computed_and_its_parts_are_kept():
    grade = await multi("0.5 * same + max(alike, 0.1) ^ 2")(ITEM, None)
    assert grade.score == pytest.approx(0.75**2)
    assert {key: part.score for key, part in grade.parts.items()} == {"same": 0.0, "alike": 0.75, "lost": None}
    assert grade.passed is None


async def test_a_score_it_needs_and_does_not_get_is_no_zero():
    grade = await multi("same + lost")(ITEM, None)
    assert grade.errored
    assert [fault.kind for fault in grade.faults] == ["invalid_variable_error"]


async def test_an_error_elsewhere_is_told_beside_the_score():
    grade = await multi("alike")(ITEM, None)
    assert grade.score == 0.75
    assert "item.missing" in grade.faults[0].message


@pytest.mark.parametrize(
    ("formula", "asked"), [("alike +", 0), ("alike + other", 0), ("1 / same", 3), ("log(same)", 3)]
)
async def test_a_formula_that_cannot_be_read_or_computed_is_a_fault_of_its_own(formula, asked):
    grade = await multi(formula)(ITEM, None)
    assert grade.errored
    assert grade.faults[0].kind == "formula_parse_error"
    assert len(grade.parts) == asked
