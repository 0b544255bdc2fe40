"""Items graded as evals grade: every type that asks no model, and why some items have no grade."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stillhouse.data.items import Facts, Item, Kind
from stillhouse.errors import UsageError
from stillhouse.recipes.grade import grade_items, read_grader_file

EXACT = {"type": "string_check", "input": "{{sample.output_text}}", "reference": "{{item.truth}}", "operation": "eq"}
CALLS = [{"function": {"name": "book", "arguments": '{"town": "Ulm"}'}}]


def told(answer: str | None, truth: str | None = "42", **more) -> Item:
    said = None if answer is None else {"role": "assistant", "content": answer}
    return Item(Kind.CHAT, ({"role": "user", "content": "6 * 7?"},), said, truth=truth, **more)


@pytest.fixture
def grader(tmp_path):
    """Reads a grader out of a file."""

    def read(value):
        path = tmp_path / "grader.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return read_grader_file(path)

    return read


def grades(spec, items) -> list[float | None]:
    found = grade_items(items, spec)
    assert not found.dropped
    return [item.facts.grade for item in found.kept]


def test_an_answer_is_compared_with_what_is_known_of_its_item(grader):
    found = grade_items([told("42"), told("41")], grader(EXACT))
    assert [item.facts.grade for item in found.kept] == [1.0, 0.0]
    assert found.kept[0].facts.metadata == {"grader": "string_check"}


def test_a_label_is_what_an_item_without_an_answer_says(grader):
    spec = grader({**EXACT, "reference": "{{item.metadata.team}}"})
    facts = Facts(metadata={"team": "billing"})
    assert grades(spec, [told(None, label="billing", facts=facts), told(None, label="sales", facts=facts)]) == [1, 0]


def test_metrics_python_and_formulas_grade_as_well(grader):
    like = {"type": "text_similarity", "evaluation_metric": "rouge_l", "input": "{{sample.output_text}}"}
    like["reference"] = "{{item.truth}}"
    short = {"type": "python", "source": "def grade(sample, item): return float(len(sample['output_text']) < 4)"}
    both = {"type": "multi", "graders": {"like": like, "short": short}, "calculate_output": "like * short"}
    assert grades(grader(both), [told("42"), told("42 or 42"), told("7")]) == [1.0, 0.0, 0.0]


def test_calls_of_tools_can_be_graded(grader):
    item = replace(told(None), answer={"role": "assistant", "content": None, "tool_calls": CALLS})
    place = "{{sample.output_tools[0].function.arguments.town}}"
    assert grades(grader({**EXACT, "input": place, "reference": "Ulm"}), [item]) == [1.0]


def test_what_cannot_be_graded_is_left_out_with_the_reason(grader):
    found = grade_items([told("42"), told("42", truth=None), told(None)], grader(EXACT))
    assert len(found.kept) == 1
    assert [reason.split(":")[0] for _, reason in found.dropped] == ["not graded", "nothing to grade"]
    assert "truth" in found.dropped[0][1]
    seven = grader({"type": "python", "source": "def grade(sample, item): return 7"})
    assert grade_items([told("42")], seven).dropped[0][1] == "not graded: the score 7 is not within 0..1"


def test_many_items_are_graded_in_their_order_and_told_of(grader):
    items = [told(str(number)) for number in range(100)]
    heard: list[int] = []
    found = grade_items(items, grader({**EXACT, "operation": "like"}), heard.append)
    assert [item.words for item in found.kept if item.facts.grade] == ["42"]
    assert (heard[-1], heard) == (100, sorted(heard))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{", "is no JSON"),
        (
            {"type": "score_model", "name": "rater", "model": "gpt", "input": [{"role": "user", "content": "?"}]},
            "judge",
        ),
        ({**EXACT, "operation": "equals"}, "operation"),
        ({**EXACT, "reference": "{{item.truht}}"}, "truht"),
        ({"type": "multi", "graders": {"a": EXACT}, "calculate_output": "a + b"}, "calculate_output"),
    ],
)
def test_a_grader_that_cannot_work_is_refused_before_anything_runs(grader, value, said):
    with pytest.raises(UsageError, match=said) as error:
        grader(value)
    assert "grader.json" in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.json cannot be read"):
        read_grader_file(tmp_path / "none.json")
