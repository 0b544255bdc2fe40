"""A promptfoo configuration becomes evals that are read as any other; what has no counterpart is named by its line."""

from __future__ import annotations

import json

import pytest

from stillhouse.errors import TrafficError
from stillhouse.wire.evals import read_eval, read_run
from stillhouse.wire.promptfoo import read_promptfoo

CONFIG = """
description: capitals
prompts:
  - 'What is the capital of {{country}}?'
  - label: short
    raw: '[{"role": "system", "content": "Be short."}, {"role": "user", "content": "Capital of {{ country }}?"}]'
providers:
  - openai:chat:gpt-4o-mini
  - id: openai:student
    config: {temperature: 0, max_tokens: 20, unknown: 1}
defaultTest:
  assert:
    - type: llm-rubric
      value: names one city in {{country}}
tests:
  - vars: {country: France}
    assert:
      - {type: icontains, value: Paris}
  - vars: {country: Italy}
    assert:
      - {type: icontains, value: Rome}
  - vars: {country: Spain, hint: a river}
    assert:
      - {type: similar, value: 'The capital of {{country}} is Madrid', threshold: 0.8}
"""


def written(tmp_path, text: str):
    path = tmp_path / "promptfooconfig.yaml"
    path.write_text(text)
    return path


def test_tests_that_assert_alike_become_an_eval(tmp_path):
    one, two = read_promptfoo(written(tmp_path, CONFIG), judge="large")
    assert [each.body["name"] for each in (one, two)] == ["capitals (1)", "capitals (2)"]
    assert one.rows == [
        {"item": {"country": "France", "expected_2": "Paris"}},
        {"item": {"country": "Italy", "expected_2": "Rome"}},
    ]
    rubric, check = one.body["testing_criteria"]
    assert (rubric["type"], rubric["model"], rubric["passing_labels"]) == ("label_model", "large", ["pass"])
    assert "names one city in {{item.country}}" in rubric["input"][0]["content"]
    assert (check["operation"], check["reference"]) == ("ilike", "{{item.expected_2}}")
    similar = two.body["testing_criteria"][1]
    assert (similar["evaluation_metric"], similar["pass_threshold"]) == ("cosine", 0.8)
    assert similar["reference"] == "The capital of {{item.country}} is Madrid"


def test_each_is_read_as_any_other_with_a_run_for_each_prompt_and_provider(tmp_path):
    for each in read_promptfoo(written(tmp_path, CONFIG), judge="large"):
        made = read_eval(json.dumps(each.body).encode())
        assert len(each.runs) == 4
        for run in each.runs:
            source = {**run["data_source"], "source": {"type": "file_content", "content": list(each.rows)}}
            body = {"name": run["name"], "data_source": source}
            assert read_run(json.dumps(body).encode(), made.config).name == run["name"]
    first, second, third, last = each.runs
    assert [run["data_source"]["model"] for run in (first, second, third, last)] == 2 * ["gpt-4o-mini", "student"]
    assert second["data_source"]["sampling_params"] == {"temperature": 0, "max_completion_tokens": 20}
    template = last["data_source"]["input_messages"]["template"]
    assert template[1] == {"role": "user", "content": "Capital of {{item.country}}?"}
    assert last["name"] == "short - student"


def test_json_is_read_as_well_and_prompts_from_files_beside_it(tmp_path):
    (tmp_path / "prompt.txt").write_text("Say {{word}}")
    config = {
        "prompts": ["file://prompt.txt"],
        "providers": ["student"],
        "tests": [{"vars": {"word": "x"}, "assert": [{"type": "equals", "value": "{{word}}"}]}],
    }
    [one] = read_promptfoo(written(tmp_path, json.dumps(config)))
    assert one.body["name"] == "promptfooconfig"
    assert one.body["testing_criteria"][0]["reference"] == "{{item.word}}"
    assert one.runs[0]["data_source"]["input_messages"]["template"] == [
        {"role": "user", "content": "Say {{item.word}}"}
    ]


def test_values_that_differ_have_their_variables_filled_in(tmp_path):
    text = """
tests:
  - vars: {word: x}
    assert: [{type: equals, value: '{{word}}!'}]
  - vars: {word: y}
    assert: [{type: equals, value: 'not {{word}}'}]
"""
    [one] = read_promptfoo(written(tmp_path, text))
    assert [row["item"]["expected_1"] for row in one.rows] == ["x!", "not y"]
    assert one.runs == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tests: [", "line 1: this is neither YAML nor JSON"),
        ("- a\n- b\n", "prompts, providers and tests"),
        ("description: x\n", "line 1: tests: a list of tests"),
        ("tests: file://tests.csv\n", "line 1: tests: a list of tests"),
        ("tests:\n  - vars: {a: 1}\n", r"line 2: tests\[0\]: the test asserts nothing"),
        (
            "tests:\n  - vars: {a: 1}\n    assert:\n      - type: javascript\n        value: x\n",
            r"line 4: tests\[0\]\.assert\[0\]: assertions of type 'javascript'",
        ),
        ("tests:\n- assert:\n  - {type: equals, value: [1]}\n", r"line 3: .*a text or a number"),
        ("tests:\n- assert:\n  - {type: equals, value: '{{a | upper}}'}\n", r"line 3: .*expressions"),
        ("tests:\n- assert:\n  - {type: llm-rubric, value: good}\n", "--judge"),
        ("prompts: [file://../x]\nproviders: [a]\ntests:\n- assert: [{type: equals, value: a}]\n", "outside"),
        ("prompts: [a]\nproviders: ['exec: rm']\ntests:\n- assert: [{type: equals, value: a}]\n", "name a model"),
        ("tests: !!python/object/apply:os.system ['true']\n", "line 1"),
    ],
)
def test_what_has_no_counterpart_is_named_by_its_line(tmp_path, text, words):
    with pytest.raises(TrafficError, match=words):
        read_promptfoo(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TrafficError, match="cannot be read"):
        read_promptfoo(tmp_path / "none.yaml")
