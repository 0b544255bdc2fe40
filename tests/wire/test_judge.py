"""What a judge is asked for, and what is read as its verdict."""

from __future__ import annotations

import json

import pytest

from stillhouse.errors import GraderError
from stillhouse.wire.judge import Verdict, ask_for_label, ask_for_score, read_verdict
from stillhouse.wire.response_format import read_shape


def test_the_forms_are_strict_schemas():
    score, label = ask_for_score(), ask_for_label(["a", "b"])
    for form in (score, label):
        schema = form["json_schema"]["schema"]
        assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
        assert (schema["required"], schema["additionalProperties"]) == (["steps", "result"], False)
        assert schema["properties"]["steps"]["items"]["required"] == ["description", "conclusion"]
    assert read_shape(label) == {"steps": None, "result": frozenset(['"a"', '"b"'])}
    assert score["json_schema"]["schema"]["properties"]["result"] == {"type": "number"}


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"steps": [{"description": "d", "conclusion": "c"}, {"conclusion": "e"}], "result": 1}, Verdict(1, "e")),
        ({"steps": [], "result": "a"}, Verdict("a", None)),
        ({"result": None}, Verdict(None, None)),
        ({"steps": "x", "result": 0.5}, Verdict(0.5, None)),
        ({"steps": ["x"], "result": 0.5}, Verdict(0.5, None)),
        ({"steps": [{"conclusion": 3}], "result": 0.5}, Verdict(0.5, None)),
    ],
)
def test_verdicts(answer, verdict):
    assert read_verdict(json.dumps(answer)) == verdict


@pytest.mark.parametrize("text", ["", "0.5", "[]", "{}", "{'result': 1}", '{"result": 1} thanks', "x" * 500])
def test_what_is_no_verdict_is_shown(text):
    with pytest.raises(GraderError) as caught:
        read_verdict(text)
    assert text[:100] in str(caught.value)
    assert len(str(caught.value)) < 400
