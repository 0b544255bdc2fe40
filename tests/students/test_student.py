"""What every student is; the battery over all families is tests/contracts/test_students.py."""

from __future__ import annotations

import pytest

from stillhouse.students.student import Student


def test_a_student_must_answer_and_name_its_learning_rates():
    with pytest.raises(TypeError, match="forward"):
        Student()
