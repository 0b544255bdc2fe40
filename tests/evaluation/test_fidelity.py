"""Fidelity against scikit-learn, and the pairs it points at."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics

from stillhouse.evaluation.fidelity import agrees, judge, measure_fidelity, soft_divergence


@pytest.fixture(scope="module")
def labels():
    """Two fields of 7 and 3 labels on 500 rows; label 6 of the first field is never used."""
    random = np.random.default_rng(0)
    teacher = np.stack([random.integers(0, 6, 500), random.integers(0, 3, 500)], axis=1)
    noise = np.stack([random.integers(0, 6, 500), random.integers(0, 3, 500)], axis=1)
    return np.where(random.random((500, 2)) < 0.8, teacher, noise), teacher


def test_shares_are_those_of_scikit_learn(labels):
    predicted, teacher = labels
    fidelity = measure_fidelity(predicted, teacher, (7, 3))
    assert fidelity.agreement == np.mean(agrees(predicted, teacher)) == np.mean((predicted == teacher).all(axis=1))
    for index, field in enumerate(fidelity.fields):
        known, given = teacher[:, index], predicted[:, index]
        assert field.agreement == metrics.accuracy_score(known, given)
        assert field.macro_f1 == pytest.approx(metrics.f1_score(known, given, average="macro"))
        present = np.flatnonzero(field.support)
        recalls = metrics.recall_score(known, given, average=None, labels=present)
        assert np.array(field.recall)[present] == pytest.approx(recalls)
    assert (fidelity.fields[0].support[6], fidelity.fields[0].recall[6]) == (0, 0.0)


def test_confusions_are_counted_commonest_first_with_their_rows(labels):
    predicted, teacher = labels
    field = measure_fidelity(predicted, teacher, (7, 3), top=4).fields[0]
    matrix = metrics.confusion_matrix(teacher[:, 0], predicted[:, 0])
    np.fill_diagonal(matrix, 0)
    assert [pair.count for pair in field.confusions] == sorted(matrix.ravel().tolist(), reverse=True)[:4]
    for pair in field.confusions:
        assert matrix[pair.teacher, pair.student] == pair.count
        assert len(pair.rows) == min(pair.count, 4)
        assert all((teacher[row, 0], predicted[row, 0]) == (pair.teacher, pair.student) for row in pair.rows)


def test_an_answer_the_student_cannot_give_is_a_disagreement():
    teacher, predicted = np.array([[-1], [-1], [0], [1]]), np.array([[0], [0], [0], [1]])
    field = measure_fidelity(predicted, teacher, (2,)).fields[0]
    assert field.agreement == 0.5
    assert field.support == (1, 1)
    assert field.macro_f1 == pytest.approx((2 * 1 / 4 + 1) / 2)
    assert [(pair.teacher, pair.student, pair.count, pair.rows) for pair in field.confusions] == [(-1, 0, 2, (0, 1))]


def test_a_faithful_student_confuses_nothing():
    same = np.arange(10)[:, None] % 3
    fidelity = measure_fidelity(same, same, (3,))
    assert (fidelity.agreement, fidelity.fields[0].macro_f1, fidelity.fields[0].confusions) == (1.0, 1.0, ())


def test_without_rows_all_is_zero():
    nothing = np.zeros((0, 1), dtype=np.int64)
    fidelity = measure_fidelity(nothing, nothing, (2,))
    assert (fidelity.agreement, fidelity.fields[0].macro_f1, fidelity.fields[0].support) == (0.0, 0.0, (0, 0))


def test_soft_divergence_is_the_mean_relative_entropy():
    random = np.random.default_rng(0)
    teacher, student = (special.softmax(random.normal(size=(50, 6)), axis=1) for _ in range(2))
    expected = np.mean(stats.entropy(teacher, student, axis=1))
    assert soft_divergence(teacher.astype(np.float32), student.astype(np.float32)) == pytest.approx(expected, rel=1e-5)
    assert soft_divergence(teacher, teacher) == pytest.approx(0.0, abs=1e-12)


def test_soft_divergence_stays_finite_at_zeros():
    hard, wrong = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert soft_divergence(hard, hard) == 0.0
    assert soft_divergence(hard, wrong) == pytest.approx(np.log(1e12))
    assert soft_divergence(np.zeros((0, 2)), np.zeros((0, 2))) == 0.0


def test_answers_are_judged_against_the_truth_only_where_it_is_known():
    predicted, teacher, truths = np.array([[0], [1], [2]]), np.array([[0], [1], [-2]]), np.array([[1], [1], [-1]])
    judged = judge(predicted, np.array([0.9, 0.8, 0.7]), teacher, truths)
    assert judged.correct.tolist() == [True, True, False]
    assert judged.student_right is not None
    assert judged.student_right.tolist() == [False, True]
    assert judged.teacher_right is not None
    assert judged.teacher_right.tolist() == [False, True]
    assert judge(predicted, np.array([0.9, 0.8, 0.7]), teacher, np.full((3, 1), -1)).student_right is None
