"""Every kind of teacher offers what the protocol asks for."""

from __future__ import annotations

import inspect

import pytest

from stillhouse.teachers.cached import Cached
from stillhouse.teachers.ensemble import Ensemble, Routed
from stillhouse.teachers.local import Local
from stillhouse.teachers.teacher import Teacher


@pytest.mark.parametrize("kind", [Local, Ensemble, Routed, Cached])
def test_they_are_asked_alike(kind):
    expected = list(inspect.signature(Teacher.observe).parameters)
    assert list(inspect.signature(kind.observe).parameters) == expected == ["self", "batch", "layers"]
