"""Subjects: the name in the metadata goes before those of the call."""

from __future__ import annotations

import pytest

from stillhouse.data.subjects import subject_of


@pytest.mark.parametrize(
    ("metadata", "call", "subject"),
    [
        ({"subject": "ann"}, {"user": "bob", "safety_identifier": "c"}, "ann"),
        ({"tier": "gold"}, {"user": "bob", "safety_identifier": "c"}, "bob"),
        (None, {"safety_identifier": "c"}, "c"),
        ({}, {"input_user": "dee"}, "dee"),
        ({"subject": ""}, {"user": None}, None),
        ({"subject": 7}, {"user": ["x"]}, None),
        (None, {}, None),
    ],
)
def test_a_call_is_about_whom_it_names_first(metadata, call, subject):
    assert subject_of(metadata, call) == subject
