"""The loop learns, keeps its best, stops in time, and refuses what cannot be taught."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.export.onnx import export_onnx
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.training.loop import Lesson, Schedule, train
from stillhouse.training.offline import Offline
from tests.training.pupils import FAMILIES, SCHEDULE, lesson, pupil, score, source, task, watch

LONG = Schedule(epochs=20, patience=99)
RATES = {"words": 3, "static": 3, "encoder": 20}


@pytest.mark.parametrize("soft", [True, False], ids=["soft", "words"])
@pytest.mark.parametrize("family", FAMILIES)
def test_students_learn(family, soft):
    student = pupil(family)
    before = score(student.eval())
    position = train(lesson(student, soft=soft), replace(LONG, rate=RATES[family]), watch())
    assert score(student) == position.best_score > max(0.8, before)
    assert not student.training


def scripted(scores: list[float], seen: list):
    """Scores as written, and a copy of the weights each time."""

    def measure(student):
        assert not student.training
        seen.append({name: value.clone() for name, value in student.state_dict().items()})
        return scores[len(seen) - 1]

    return measure


def test_the_best_weights_are_kept():
    student, seen = pupil("static"), []
    position = train(lesson(student), SCHEDULE, watch(score=scripted([0.1, 0.5, 0.9, 0.2, 0.9, 0.3], seen)))
    assert len(seen) == 6
    assert (position.best_score, position.best_step) == (0.9, 9), "the first of equals"
    assert all(torch.equal(value, seen[2][name]) for name, value in student.state_dict().items())


def test_the_best_may_be_a_poor_one():
    student, seen = pupil("words"), []
    position = train(lesson(student), SCHEDULE, watch(score=scripted([-3.0, -2.0, -5.0, -4.0, -6.0, -7.0], seen)))
    assert position.best_score == -2.0


def test_training_stops_when_nothing_gets_better():
    seen = []
    falling = scripted([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], seen)
    position = train(lesson(pupil("words")), replace(SCHEDULE, patience=2), watch(score=falling))
    assert (len(seen), position.step, position.finished) == (3, 9, True)


def test_training_stops_at_the_deadline():
    position = train(lesson(pupil("words")), SCHEDULE, watch(deadline=time.monotonic()))
    assert (position.step, position.finished) == (3, True), "at its first evaluation, so that there is a best"
    assert position.best_step == 3


def test_a_finished_run_is_not_trained_again(tmp_path):
    first, again, asked = pupil("words"), pupil("words", seed=1), []
    options = {"checkpoint": tmp_path / "checkpoint", "checkpoint_every": 0}
    train(lesson(first), SCHEDULE, watch(**options))
    train(lesson(again), SCHEDULE, watch(score=asked.append, **options))
    assert asked == []
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())


def test_what_is_told_counts_up_to_the_end():
    heard = []
    train(lesson(pupil("words")), SCHEDULE, watch(tell=lambda *told: heard.append(told)))
    assert [done for done, _, _ in heard] == [5, 10, 15, 18]
    assert {total for _, total, _ in heard} == {18}
    assert all(note.startswith("loss ") for _, _, note in heard)


def test_no_best_is_told_before_there_is_one():
    heard = []
    tell = lambda done, total, note: heard.append(note)  # noqa: E731
    train(lesson(pupil("words")), replace(SCHEDULE, evaluations=2), watch(tell=tell))
    assert "best" not in heard[0]
    assert "best" in heard[-1]


def test_an_objective_that_asks_for_more_than_the_teacher_tells_is_refused():
    with pytest.raises(UsageError, match=r"needs logits, which this teacher does not tell \(it tells words\)"):
        Lesson(pupil("words"), task(), source(soft=False), ForwardKL() + CrossEntropy())


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(UsageError, match="nothing to learn from"):
        Lesson(pupil("words"), task(), Offline(task(), [], 8, 0), CrossEntropy())


def test_after_bf16_the_student_answers_in_float32_and_can_be_exported(tmp_path):
    student = pupil("encoder")
    plain = type(student).forward
    train(lesson(student), replace(SCHEDULE, epochs=1, precision="bf16"), watch())
    batch = task().batch(range(4))
    with torch.no_grad():
        assert torch.equal(
            student(batch.input_ids, batch.attention_mask), plain(student, batch.input_ids, batch.attention_mask)
        )
    assert {weight.dtype for weight in student.parameters()} == {torch.float32}
    export_onnx(student, tmp_path / "model.onnx")


def test_one_runs_number_format_is_not_the_next_ones():
    train(lesson(pupil("static")), replace(SCHEDULE, epochs=1, precision="bf16"), watch())
    after, alone = pupil("static"), pupil("static")
    for student in (after, alone):
        train(lesson(student), SCHEDULE, watch())
    assert all(torch.equal(value, alone.state_dict()[name]) for name, value in after.state_dict().items())


def test_frozen_weights_stay():
    student = pupil("encoder")
    student.freeze(1)
    before = {name: weight.clone() for name, weight in student.named_parameters() if not weight.requires_grad}
    train(lesson(student), SCHEDULE, watch())
    assert before
    assert all(torch.equal(dict(student.named_parameters())[name], weight) for name, weight in before.items())
