"""Answers and terms that cannot be meant are refused with a word on what to do."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.errors import CannotCertify, UsageError
from stillhouse.evaluation.answers import Answers, Terms

TRUE = np.ones(3, dtype=bool)
SURE = np.full(3, 0.9)


def test_answers_know_their_size_and_disagreements():
    answers = Answers(np.array([True, False, True]), SURE)
    assert (len(answers), answers.disagreements) == (3, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.5])
def test_a_confidence_that_is_no_probability_is_refused(bad):
    with pytest.raises(CannotCertify, match="in 1 of 3 rows"):
        Answers(TRUE, np.array([0.5, bad, 0.5]))


def test_rounding_above_one_is_forgiven():
    assert len(Answers(TRUE, np.full(3, 1.0000001, dtype=np.float32))) == 3


def test_lengths_must_match():
    with pytest.raises(CannotCertify, match="one confidence for each answer"):
        Answers(TRUE, SURE[:2])


@pytest.mark.parametrize(("student", "teacher"), [(TRUE, None), (None, TRUE), (TRUE, TRUE[:2])])
def test_student_and_teacher_are_judged_on_the_same_rows(student, teacher):
    with pytest.raises(CannotCertify, match="same rows"):
        Answers(TRUE, SURE, student, teacher)


@pytest.mark.parametrize("name", ["margin", "risk", "confidence"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 95, float("nan")])
def test_terms_are_shares(name, value):
    with pytest.raises(UsageError, match=f"`{name}` is {value}"):
        Terms(**{name: value})
