"""Averages follow their student, the last block teaches its exits, and each generation teaches the next."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Lesson, Schedule, train
from stillhouse.training.online import Online
from stillhouse.training.self_distill import EMA, LastBlock, born_again
from stillhouse.training.source import Share
from tests.training import pupils, sources
from tests.training.pupils import ROWS, SIZE, Dying, Killed


def ema(decay: float = 0.9) -> EMA:
    return EMA(pupils.task(), range(ROWS), SIZE, 0, decay)


def moved(student: nn.Module, by: float) -> None:
    with torch.no_grad():
        for weight in student.parameters():
            weight += by


def test_the_average_begins_as_the_student_and_stands_apart():
    student, source = pupils.pupil("static"), ema()
    source.begin(student, Layers())
    assert source.average is not student
    assert all(torch.equal(a, b) for a, b in zip(source.average.parameters(), student.parameters(), strict=True))
    assert not any(weight.requires_grad for weight in source.average.parameters())


def test_it_follows_by_the_formula():
    student, source = pupils.pupil("static"), ema(0.9)
    source.begin(student, Layers())
    expected = deepcopy(student.state_dict())
    for step in range(120):
        moved(student, 0.1)
        source.stepped(student)
        kept = min(0.9, (1 + step) / (10 + step))
        expected = {name: kept * value + (1 - kept) * student.state_dict()[name] for name, value in expected.items()}
    for name, value in source.average.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-4)


def test_counters_are_copied_and_frozen_weights_left_alone():
    student = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    student[0].requires_grad_(False)
    source = ema()
    source.begin(student, Layers())
    student[1].num_batches_tracked += 7
    student[0].weight.data += 1
    source.stepped(student)
    assert source.average[1].num_batches_tracked == 7
    assert not torch.equal(source.average[0].weight, student[0].weight)
    assert set(source.state()["average"]) == {name for name in student.state_dict() if not name.startswith("0.")}


def test_it_answers_without_dropout_as_the_average():
    student, source = pupils.pupil("encoder").train(), ema()
    source.begin(student, Layers(frozenset({0})))
    moved(student, 0.01)
    ((batch, told),) = list(source.step(0, 0, Share()))
    own = pupils.task().output(pupils.pupil("encoder").eval(), batch, Layers(frozenset({0})))
    assert torch.equal(told.scores, own.logits)
    assert torch.equal(told.features.hidden[0], own.features.hidden[0])


def test_a_state_puts_the_average_back():
    student, source = pupils.pupil("static"), ema()
    source.begin(student, Layers())
    moved(student, 1.0)
    source.stepped(student)
    other = ema()
    other.begin(pupils.pupil("static", seed=4), Layers())
    other.restore(deepcopy(source.state()))
    moved(student, 0.5)
    for given in (source, other):
        given.stepped(student)
    for name, value in source.average.state_dict().items():
        assert torch.equal(other.average.state_dict()[name], value)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_the_average_must_move(decay):
    with pytest.raises(UsageError, match="decay"):
        ema(decay)


def test_before_training_there_is_no_average():
    with pytest.raises(UsageError, match="no average yet"):
        ema().average  # noqa: B018


def test_the_average_tells_its_answers_and_its_inside():
    assert ema().tells >= EVERY_SCORE | {Kind.WORDS, Kind.HIDDEN}
    assert ema().follows


def test_exits_are_told_what_the_last_block_says():
    made = sources.exits()
    rows = pupils.SIZE
    ((batch, told),) = sources.observed(made.source, made.student)
    rows = len(batch.rows) // 3
    last = pupils.task().output(made.student.student.eval(), pupils.task().batch(batch.rows[:rows].tolist()), Layers())
    for exit_ in range(2):
        assert torch.equal(told.scores[exit_ * rows : (exit_ + 1) * rows], last.logits)
    assert told.told[: 2 * rows].all()
    assert not told.told[2 * rows :].any()
    assert made.source.tells == EVERY_SCORE | {Kind.WORDS}


def test_exits_come_to_say_what_the_last_block_says():
    made = sources.exits()

    def agreement(student) -> float:
        batch = made.task.batch(range(ROWS))
        with torch.no_grad():
            said = made.task.output(student, batch, Layers()).logits.argmax(-1)
        return float((said[: 2 * ROWS] == said[2 * ROWS :].repeat(2, 1)).float().mean())

    before = agreement(made.student.eval())
    train(made.lesson(), Schedule(epochs=20, rate=10, patience=99), pupils.watch(score=agreement))
    assert agreement(made.student) > max(0.7, before + 0.1)


def test_the_last_block_cannot_be_compared_with_its_own_inside():
    made = sources.exits()
    with pytest.raises(UsageError, match="inside"):
        made.source.begin(made.student, Layers(frozenset({0})))
    with pytest.raises(UsageError, match="begin"):
        list(LastBlock(made.task, range(4), 2, 0).step(0, 0, Share()))


SHORT = Schedule(epochs=2, evaluations=2, patience=99)


def generation(number: int, before: nn.Module | None) -> Lesson:
    """The first learns from words, the others from the one before."""
    student, task = pupils.pupil("encoder", seed=number), pupils.task()
    if before is None:
        return Lesson(student, task, pupils.source(soft=False), CrossEntropy())
    return Lesson(student, task, Online(task, Local(before, task), range(ROWS), SIZE, number), ForwardKL())


def test_each_generation_learns_from_the_one_before():
    taught: list[tuple[int, nn.Module | None]] = []

    def lesson(number: int, before: nn.Module | None) -> Lesson:
        taught.append((number, before))
        return generation(number, before)

    students = born_again(lesson, 3, SHORT, pupils.watch())
    assert [number for number, _ in taught] == [0, 1, 2]
    assert [before for _, before in taught] == [None, *students[:2]]
    assert len(set(map(id, students))) == 3


def test_killed_in_any_generation_it_ends_with_the_same_students(tmp_path):
    whole = born_again(generation, 3, SHORT, pupils.watch())
    watch = pupils.watch(checkpoint=tmp_path / "point", checkpoint_every=0)
    for last, dies_in in ((5, 0), (3, 1), (5, 1), (2, 2)):

        def dying(number: int, before: nn.Module | None, last: int = last, dies_in: int = dies_in) -> Lesson:
            made = generation(number, before)
            return replace(made, source=Dying(made.source, last)) if number == dies_in else made

        torch.manual_seed(last)
        with pytest.raises(Killed):
            born_again(dying, 3, SHORT, watch)
    resumed = born_again(generation, 3, SHORT, watch)
    for one, other in zip(whole, resumed, strict=True):
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_there_is_one_generation_at_least():
    with pytest.raises(UsageError, match="1 generation"):
        born_again(generation, 0, SHORT, pupils.watch())
