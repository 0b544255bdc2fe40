"""Versions: how they are named, and how what made them is told and read again."""

from __future__ import annotations

import pytest

from stillhouse.data.versions import Step, check_name, is_reference, parse_reference
from stillhouse.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("text", "meant"), [("support@3", ("support", 3)), ("support", ("support", None)), ("a.b-c_1@12", ("a.b-c_1", 12))]
)
def test_a_reference_is_a_name_and_perhaps_a_number(text, meant):
    assert parse_reference(text) == meant
    assert is_reference(text) == (meant[1] is not None)


NONE = ["", "@3", "support@", "support@0", "support@-1", "Support@1", "a/b@1", "..@1", "a@1@2", "a.@1"]


@pytest.mark.parametrize("text", NONE)
def test_what_is_none_is_refused(text):
    assert not is_reference(text)
    with pytest.raises(UsageError, match="name@number"):
        parse_reference(text)


@pytest.mark.parametrize("name", ["Support", "a b", "../a", "", "a@1", ".a", "a" * 65, "ä", "a/b"])
def test_a_name_that_no_folder_should_have_is_refused(name):
    with pytest.raises(UsageError, match="lower-case"):
        check_name(name)


def test_a_step_is_read_as_it_was_written():
    step = Step("filter", ("support@2",), {"filter": {"like": "x"}}, {"kept": 3})
    assert Step.from_json(step.to_json()) == step
    assert step.code.startswith("stillhouse ")


@pytest.mark.parametrize("value", [{}, {"verb": "import"}, {"verb": "a", "parents": [], "colour": 1}])
def test_what_is_no_step_is_told(value):
    with pytest.raises(DataError, match="no step"):
        Step.from_json(value)
