from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from stillhouse.evaluation.answers import Terms
from stillhouse.recipes.measure import Said, answer_part, choose, judge
from stillhouse.reports.record import Quality, RungRecord, Speed
from stillhouse.training.lessons import Part


def rung(name: str, low: float, coverage: float, agreement: float = 0.9) -> SimpleNamespace:
    quality = Quality(agreement, (low, 1.0), 0.9, 0.0, coverage, 100)
    return SimpleNamespace(record=RungRecord(name, quality, Speed(1.0, 1.0, 1.0, 1.0), 1, 1, 1.0, "int8"))


@pytest.mark.parametrize(
    ("ladder", "name"),
    [
        ([rung("words", 0.9, 0.5), rung("static", 0.985, 0.6), rung("encoder-6", 0.99, 1.0)], "static"),
        ([rung("words", 0.9, 0.5), rung("static", 0.9, 0.79), rung("encoder-6", 0.9, 0.8)], "static"),
        ([rung("words", 0.9, 0.0, 0.6), rung("static", 0.9, 0.0, 0.7)], "static"),
    ],
    ids=["the cheapest that passes", "the cheapest of those that keep most", "the best of the bad"],
)
def test_which_rung_is_chosen(ladder, name):
    choice = choose(ladder, Terms())
    assert choice.name == name
    assert choice.reason


def test_fields_are_answered_apart_and_confidence_is_their_product():
    logits = np.log(np.array([[0.8, 0.2, 0.1, 0.3, 0.6]], dtype=np.float32))
    said = answer_part(logits, (2, 3), (1.0, 1.0))
    assert said.predicted.tolist() == [[0, 2]]
    assert said.confidence == pytest.approx([0.48], abs=1e-5)
    assert answer_part(logits, (2, 3), (2.0, 2.0)).confidence[0] < 0.48


def test_an_answer_that_no_student_can_give_is_a_disagreement():
    said = Said(np.array([[0], [1], [1]]), np.array([0.9, 0.9, 0.9]))
    part = Part(["a", "b", "c"], np.array([[0], [-2], [0]]), np.array([[-1], [1], [0]]))
    answers = judge(said, part)
    assert answers.correct.tolist() == [True, False, False]
    assert answers.student_right is not None
    assert answers.teacher_right is not None
    assert (answers.student_right.tolist(), answers.teacher_right.tolist()) == ([True, False], [False, True])


def test_a_right_answer_that_only_the_teacher_can_give_counts_for_it():
    part = Part(["a", "b"], np.array([[-2], [0]]), np.array([[-2], [0]]))
    answers = judge(Said(np.array([[1], [0]]), np.array([0.9, 0.9])), part)
    assert answers.student_right is not None
    assert answers.teacher_right is not None
    assert (answers.student_right.tolist(), answers.teacher_right.tolist()) == ([False, True], [True, True])
