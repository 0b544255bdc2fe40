"""A teacher beside the student answers every batch, about what was asked, from its inside too."""

from __future__ import annotations

import torch

from stillhouse.models.outputs import Layers
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.teachers.cached import Cached
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Lesson, Schedule, train
from stillhouse.training.online import Online
from stillhouse.training.source import Share
from tests.teachers.judges import SAMPLES, keep, top_codec
from tests.training import pupils, writers
from tests.training.sources import observed


def online(family: str = "static") -> tuple[Online, Local]:
    teacher = Local(pupils.pupil(family, seed=5), pupils.task())
    return Online(pupils.task(), teacher, range(pupils.ROWS), pupils.SIZE, 0), teacher


def test_it_tells_the_words_of_the_data_and_what_its_teacher_tells():
    source, teacher = online()
    assert source.tells == teacher.tells | {Kind.WORDS}
    assert source.tells >= EVERY_SCORE
    assert not source.follows


def test_every_batch_comes_with_the_answers_of_its_teacher():
    source, teacher = online()
    for batch, told in observed(source, pupils.pupil("words")):
        assert torch.equal(told.scores, teacher.observe(batch, Layers()).scores)
        assert told.told.all()


def test_the_order_is_that_of_kept_answers():
    source, _ = online()
    for number in range(source.steps):
        (batch, _), (other, _) = *observed(source, None, 2, number), *observed(pupils.source(), None, 2, number)
        assert torch.equal(batch.rows, other.rows)


def test_the_inside_is_caught_where_the_objective_wants_it():
    source, _ = online("encoder")
    source.begin(pupils.pupil("words"), Layers(frozenset({1})))
    for batch, told in source.step(0, 0, Share()):
        assert told.features.hidden[1].shape[:2] == batch.inputs["input_ids"].shape


def test_a_student_comes_to_say_what_its_teacher_says():
    source, teacher = online()
    student, given = pupils.pupil("static"), pupils.task().batch(range(pupils.ROWS))
    own = teacher.observe(given, Layers()).scores.argmax(-1)

    def agreement(module) -> float:
        with torch.no_grad():
            return float((pupils.task().output(module, given, Layers()).logits.argmax(-1) == own).float().mean())

    before = agreement(student)
    lesson = Lesson(student, pupils.task(), source, ForwardKL())
    train(lesson, Schedule(epochs=15, rate=10, patience=99), pupils.watch(score=agreement))
    assert agreement(student) > max(0.9, before)


def test_a_teacher_that_remembers_is_asked_in_the_same_way(tmp_path):
    student = writers.writer()
    source = Online(writers.task(), Cached(keep(tmp_path, top_codec()), SAMPLES), range(writers.ROWS), 6, 0)
    losses: list[float] = []
    lesson = Lesson(student, writers.task(), source, 0.5 * ForwardKL(2) + 0.5 * CrossEntropy())
    log = lambda step, values: losses.append(values["loss"])  # noqa: E731
    train(lesson, Schedule(epochs=10, rate=10), pupils.watch(score=writers.score, log=log, log_every=1))
    assert losses[-1] < losses[0]


def test_nothing_is_kept_between_steps():
    source, _ = online()
    source.stepped(pupils.pupil("words"))
    source.restore(source.state())
    assert source.state() == {}
