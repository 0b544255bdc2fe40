"""What holds for every task: rows keep their order and their answers, whoever stands beside them."""

from __future__ import annotations

import pytest
import torch

from stillhouse.models.outputs import Layers
from stillhouse.models.scores import Projection, everywhere, labels_of
from stillhouse.signals.kinds import Kind
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, Local
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.online import Online
from tests.tasks.kinds import CASES, ROWS

every_task = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
EVERY_ROW = list(range(ROWS))


def tells(case) -> frozenset[Kind]:
    return ANSWERS_AND_INSIDE | {Kind.EMBEDDING} if case.labels else frozenset({Kind.EMBEDDING, Kind.HIDDEN})


@every_task
def test_a_batch_holds_the_rows_asked_for_in_their_order(case):
    batch = case.task.batch([5, 0, 3])
    assert batch.rows.tolist() == [5, 0, 3]
    assert len(batch.labels) == 3
    assert {len(value) for value in batch.inputs.values()} == {3}
    again = case.task.batch([5, 0, 3])
    assert all(torch.equal(batch.inputs[name], again.inputs[name]) for name in batch.inputs)


@every_task
def test_a_row_has_the_same_labels_whoever_stands_beside_it(case):
    together = case.task.batch(EVERY_ROW)
    for row in EVERY_ROW:
        alone = case.task.batch([row]).labels[0]
        assert together.labels[row, : len(alone)].tolist() == alone.tolist()
        assert (together.labels[row, len(alone) :] == -1).all()


@every_task
def test_a_teacher_is_asked_wherever_words_are_known(case):
    batch = case.task.batch(EVERY_ROW)
    asked = case.task.asked(batch)
    assert asked.dtype == torch.bool
    assert asked.shape == batch.labels.shape
    assert asked[batch.labels >= 0].all()


@every_task
def test_scores_have_a_row_a_position_and_a_label(case):
    batch = case.task.batch(EVERY_ROW)
    said = case.task.output(case.model(0), batch, Layers())
    if case.labels is None:
        assert said.scores is None
        assert len(said.features.embedding) == ROWS
    else:
        assert everywhere(said.scores).shape == batch.labels.shape
        assert labels_of(said.scores) == case.labels
        assert batch.labels.max() < case.labels


@every_task
@torch.no_grad()
def test_a_row_gets_the_same_answer_whoever_stands_beside_it(case):
    model = case.model(0)
    batch = case.task.batch(EVERY_ROW)
    together = case.task.output(model, batch, Layers(embedding=True))
    for row in EVERY_ROW:
        single = case.task.batch([row])
        alone = case.task.output(model, single, Layers(embedding=True))
        assert torch.allclose(together.features.embedding[row], alone.features.embedding[0], atol=1e-4)
        if case.labels:
            where = case.task.asked(single)[0]
            mine = together.logits[row, : len(where)][where]
            assert torch.allclose(mine, alone.logits[0][where], atol=1e-4)


@every_task
def test_hidden_states_lie_over_the_batchs_rows(case):
    batch, model = case.task.batch(EVERY_ROW), case.model(0)
    hidden = case.task.output(model, batch, Layers(hidden=frozenset({0}))).features.hidden[0]
    mask = batch.inputs.get("attention_mask")
    assert hidden.shape[:2] == ((ROWS, 6) if mask is None else mask.shape)


@every_task
def test_one_model_agrees_with_itself_as_a_teacher(case):
    batch, teacher = case.task.batch(EVERY_ROW), Local(case.model(0), case.task, tells(case))
    told = teacher.observe(batch, case.objective.taps.teacher)
    cost = case.objective(case.task.output(case.model(0), batch, case.objective.taps.student), told, batch)
    assert cost.total.abs() < 1e-3
    assert cost.count > 0


@every_task
def test_a_student_comes_nearer_to_its_teacher(case):
    teacher = Local(case.model(1), case.task, tells(case))
    student, batch = case.model(0), case.task.batch(EVERY_ROW)

    def cost() -> float:
        told = teacher.observe(batch, case.objective.taps.teacher)
        found = case.objective(case.task.output(student.eval(), batch, case.objective.taps.student), told, batch)
        return float((found.total / found.count).detach())

    before = cost()
    lesson = Lesson(student, case.task, Online(case.task, teacher, EVERY_ROW, 4, 0), case.objective, [(student, 3e-3)])
    train(lesson, Schedule(epochs=6, evaluations=1), Watch(lambda student: 0.0, lambda done, total, note: None))
    assert cost() < before


@every_task
def test_lengths_are_those_of_the_rows(case):
    for row in EVERY_ROW:
        mask = case.task.batch([row]).inputs.get("attention_mask")
        assert case.task.length(row) == (1 if mask is None else int(mask.sum()))


@every_task
def test_scores_not_yet_computed_are_only_those_of_language_models(case):
    said = case.task.output(case.model(0), case.task.batch([0]), Layers())
    assert isinstance(said.scores, Projection) == hasattr(case.task, "vocabulary")
