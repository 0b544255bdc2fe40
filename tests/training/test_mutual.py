"""Peers are told what those they listen to say, by probability; a teacher may learn beside its student."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.models.scores import Mixture, Projection
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.training.loop import Lesson, Schedule, train
from stillhouse.training.mutual import AmongPeers, Mutual, Peers
from stillhouse.training.source import Share
from tests.training import pupils, sources, writers
from tests.training.pupils import ROWS, SIZE

TASK = AmongPeers(pupils.task())


def peers() -> Peers:
    return Peers([pupils.pupil("encoder"), pupils.pupil("static", 1), pupils.pupil("words", 2)])


def said(student: torch.nn.Module, rows: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return pupils.task().output(student.eval(), pupils.task().batch(rows), Layers()).logits.softmax(-1)


def test_each_peer_is_told_the_mean_of_the_others():
    made, source = peers(), Mutual(TASK, range(ROWS), SIZE, 0)
    made.train()
    pieces = sources.observed(source, made)
    assert len(pieces) == 3
    own = [said(student, pieces[0][0].rows.tolist()) for student in made.students]
    for peer, (batch, told) in enumerate(pieces):
        others = [own[other] for other in range(3) if other != peer]
        assert torch.allclose(told.scores.softmax(-1), (others[0] + others[1]) / 2, atol=1e-6)
        assert told.told.all()
        assert not told.scores.requires_grad
        answer = TASK.output(made.eval(), batch, Layers()).logits.softmax(-1)
        assert torch.allclose(answer, own[peer], atol=1e-6), "the batch says who is to answer"
        made.train()


def test_a_student_may_listen_to_a_teacher_that_listens_to_nobody():
    made = sources.together()
    (one, silent), (two, told) = sources.observed(made.source, made.student)
    assert not silent.told.any()
    assert torch.equal(told.told, made.task.asked(two))
    own = writers.task().output(made.student.students[0], writers.task().batch(one.rows.tolist()), Layers())
    assert isinstance(told.scores, Projection)
    assert torch.allclose(told.scores.logits(), own.logits, atol=1e-6)


def test_language_models_are_mixed_before_their_heads_are_applied():
    students = Peers([writers.writer(seed, width) for seed, width in ((1, 16), (2, 32), (3, 16))])
    pieces = sources.observed(Mutual(AmongPeers(writers.task()), range(8), 4, 0), students)
    assert all(isinstance(told.scores, Mixture) for _, told in pieces)


def test_two_peers_come_closer():
    made = Peers([pupils.pupil("static", 1), pupils.pupil("static", 2)])

    def likeness(student) -> float:
        one, two = (said(each, list(range(ROWS))) for each in student.students)
        return -float((one - two).abs().mean())

    before = likeness(made)
    lesson = Lesson(made, TASK, Mutual(TASK, range(ROWS), SIZE, 0), ForwardKL())
    train(lesson, Schedule(epochs=10, rate=5, patience=99), pupils.watch(score=likeness))
    assert likeness(made) > before / 2


def test_all_peers_learn_the_words():
    made = peers()
    lesson = Lesson(made, TASK, Mutual(TASK, range(ROWS), SIZE, 0), 0.5 * ForwardKL() + 0.5 * CrossEntropy())
    worst = lambda student: min(pupils.score(each) for each in student.students)  # noqa: E731
    before = worst(made.eval())
    train(lesson, Schedule(epochs=20, rate=10, patience=99), pupils.watch(score=worst))
    assert worst(made) > max(0.5, before)


def test_asked_outside_of_training_the_first_answers():
    made = peers().eval()
    answer = TASK.output(made, TASK.batch(range(3)), Layers()).logits
    assert torch.equal(answer.softmax(-1), said(made.students[0], [0, 1, 2]))
    assert TASK.length(2) == pupils.task().length(2)
    assert TASK.asked(TASK.batch([0])).all()


def test_every_weight_has_the_rate_of_its_student():
    made = peers()
    rates = made.learning_rates()
    assert rates == [part for student in made.students for part in student.learning_rates()]
    assert Peers([torch.nn.Linear(1, 1)] * 2).learning_rates()[0][1] == 3e-4


def test_it_tells_answers_and_words_but_no_inside():
    source = Mutual(TASK, range(ROWS), SIZE, 0)
    assert source.tells == EVERY_SCORE | {Kind.WORDS}
    with pytest.raises(UsageError, match="single teacher"):
        source.begin(peers(), Layers(frozenset({0})))


def test_who_learns_from_each_other_must_be_several():
    with pytest.raises(UsageError, match="2 students or more"):
        Peers([pupils.pupil("words")])
    with pytest.raises(UsageError, match="takes peers"):
        Mutual(TASK, range(4), 2, 0).begin(pupils.pupil("words"), Layers())


@pytest.mark.parametrize("listens", [((1,),), ((1,), (0,), (5,)), ((1,), (0,))])
def test_listening_must_fit_the_peers(listens):
    with pytest.raises(UsageError, match="listens"):
        Mutual(TASK, range(4), 2, 0, listens).begin(peers(), Layers())


def test_peers_have_to_be_known():
    with pytest.raises(UsageError, match="begin"):
        list(Mutual(TASK, range(4), 2, 0).step(0, 0, Share()))
