from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from stillhouse.data.curation.curation import STEPS, Curation
from stillhouse.data.curation.lengths import Lengths, Unit
from stillhouse.errors import UsageError


def test_every_step_has_settings_and_the_settings_have_a_step():
    names = {each.name for each in fields(Curation)} - {"steps"}
    assert names == {step.replace("-", "_") for step in STEPS}
    assert all(Curation().settings(step) is not None for step in STEPS)


def test_settings_are_plain_values_for_the_lineage():
    settings = Curation(steps=("lengths", "languages"), lengths=Lengths(unit=Unit.TOKENS, tokenizer=Path("t.json")))
    told = settings.to_json()
    assert list(told) == ["lengths", "languages"]
    assert told["lengths"]["unit"] == "tokens"
    assert told["lengths"]["tokenizer"] == "t.json"
    assert told["languages"]["keep"] == []
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((), "No step"),
        (("refusal",), "Did you mean 'refusals'"),
        (("zzz",), "There are duplicates"),
        (("broken",) * 2, "twice"),
    ],
)
def test_steps_that_are_none_are_refused(steps, told):
    with pytest.raises(UsageError, match=told):
        Curation(steps=steps)
