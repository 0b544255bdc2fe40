"""The student writes a share of the rows, the teacher judges every token, and what was written may be judged again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.objectives.response import CrossEntropy, ReverseKL
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.training.loop import Lesson, Schedule, train
from stillhouse.training.on_policy import Mix, OnPolicy
from stillhouse.training.rollout import Speech, speak
from stillhouse.training.source import Share
from tests.training import pupils, writers

SIZE = 6


def source(mix: Mix | None = None, speech: Speech | None = None, rows=range(writers.ROWS), seed: int = 0) -> OnPolicy:
    return OnPolicy(writers.task(), writers.teacher(), rows, SIZE, seed, speech or Speech(6), mix)


def first(given: OnPolicy, student=None, epoch: int = 0, number: int = 0, share: Share | None = None):
    given.begin(student or writers.writer(), Layers())
    return list(given.step(epoch, number, share or Share()))


def texts(pieces) -> dict[int, tuple[list[int], bool]]:
    """The tokens of each row, and whether the dataset's answer stands there."""
    found = {}
    for batch, _ in pieces:
        for at, row in enumerate(batch.rows.tolist()):
            ids = batch.inputs["input_ids"][at][batch.inputs["attention_mask"][at].bool()].tolist()
            found[row] = (ids, bool((batch.labels[at] >= 0).any()))
    return found


def test_every_row_is_gone_on_from_by_the_student():
    student, task = writers.writer(), writers.task()
    for row, (ids, given) in texts(first(source(), student)).items():
        prompt = task.ids[row][~task.counted[row]].tolist()
        assert ids[: len(prompt)] == prompt
        assert len(prompt) < len(ids) <= len(prompt) + 6
        assert not given
        draws = np.random.default_rng((0, 0, 0, row))
        draws.random(3)
        assert (
            speak(student, [prompt], draws.random((1, 6)), frozenset({writers.END}), Speech(6))[0] == ids[len(prompt) :]
        )


def test_the_teacher_is_asked_for_each_written_token_and_no_other():
    ((batch, told),) = first(source())
    for at, row in enumerate(batch.rows.tolist()):
        prompt = int((~writers.task().counted[row]).sum())
        length = int(batch.inputs["attention_mask"][at].sum())
        assert told.told[at].nonzero().flatten().tolist() == list(range(prompt - 1, length - 1))
    own = writers.teacher().observe(batch, Layers()).scores.logits()
    assert torch.equal(told.scores.logits(), own)


def test_words_are_known_only_where_the_dataset_answers():
    assert source().tells >= EVERY_SCORE
    assert Kind.WORDS not in source().tells
    assert Kind.WORDS in source(Mix(0.5)).tells
    with pytest.raises(UsageError, match="needs words"):
        Lesson(writers.writer(), writers.task(), source(), ReverseKL() + CrossEntropy())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_so_many_rows_are_written(share):
    given = source(Mix(share), rows=range(writers.ROWS))
    written = [not words for epoch in range(20) for words in (w for _, w in texts(first(given, None, epoch)).values())]
    assert np.mean(written) == pytest.approx(share, abs=0.15)


def test_rows_that_keep_their_answer_are_those_of_the_dataset():
    task = writers.task()
    for row, (ids, given) in texts(first(source(Mix(0.5)))).items():
        assert not given or ids == task.ids[row].tolist()


def test_what_is_written_does_not_depend_on_who_shares_the_step():
    student = writers.writer()
    whole = texts(first(source(Mix(0.7)), student))
    shared: dict = {}
    for rank in range(2):
        shared |= texts(first(source(Mix(0.7)), student, share=Share(rank, 2, 2)))
    assert shared == whole


def test_another_epoch_or_seed_writes_otherwise():
    student = writers.writer()
    made = [texts(first(source(seed=seed), student, epoch)) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert made[0] != made[1] != made[2] != made[0]


def test_an_answer_that_stops_at_once_is_judged_for_stopping():
    class Silent(torch.nn.Module):
        """Says the end token whatever is asked."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = writers.writer()

        def forward(self, input_ids, attention_mask, past_key_values=None, use_cache=True):
            said = self.inner(input_ids, attention_mask, past_key_values=past_key_values, use_cache=use_cache)
            said.logits[..., writers.END] = 1e4
            return said

    ((batch, told),) = first(source(), Silent())
    assert (told.told.sum(1) == 1).all()
    loss = ReverseKL()(writers.task().output(writers.writer(), batch, Layers()), told, batch)
    assert loss.count == len(batch.rows)
    assert loss.total > 0


REPLAYING = Mix(1.0, replayed=0.5, kept=5)


def steps(given: OnPolicy, student, numbers) -> list[dict]:
    given.begin(student, Layers())
    made = []
    for number in numbers:
        made.append(texts(given.step(0, number, Share())))
        given.stepped(student)
    return made


def test_what_was_written_is_judged_again():
    student = writers.writer()
    fresh, replayed = (steps(source(mix), student, range(3)) for mix in (None, REPLAYING))
    assert fresh[0] == replayed[0], "at first there is nothing to take"
    before = {row: ids for made in replayed[:2] for row, (ids, _) in made.items()}
    again = [ids for row, (ids, _) in replayed[2].items() if before.get(row) == ids]
    assert again


def test_only_the_latest_are_kept():
    given = source(REPLAYING)
    steps(given, writers.writer(), range(4))
    assert len(given.state()["rows"]) == 5


def test_a_state_goes_on_with_what_was_kept():
    student = writers.writer()
    whole = source(REPLAYING)
    steps(whole, student, range(2))
    other = source(REPLAYING)
    other.begin(student, Layers())
    list(other.step(0, 0, Share()))  # what a new process may have tried before it was put back
    other.restore(whole.state())
    for number in (2, 3):
        one, two = (texts(given.step(0, number, Share())) for given in (whole, other))
        assert one == two
        whole.stepped(student)
        other.stepped(student)
    assert all(torch.equal(value, other.state()[name]) for name, value in whole.state().items())


def test_nothing_is_kept_where_nothing_is_replayed():
    given = source()
    steps(given, writers.writer(), range(2))
    assert len(given.state()["rows"]) == 0


def test_a_student_comes_closer_to_its_teacher():
    student, teacher = writers.writer(), writers.teacher()
    given = writers.task().batch(range(writers.ROWS))

    def closeness(module) -> float:
        with torch.no_grad():
            said = writers.task().output(module, given, Layers())
            loss = ReverseKL()(said, teacher.observe(given, Layers()), given)
        return -float(loss.total / loss.count)

    before = closeness(student)
    lesson = Lesson(student, writers.task(), source(), ReverseKL())
    train(lesson, Schedule(epochs=12, rate=10, patience=99), pupils.watch(score=closeness))
    assert closeness(student) > before + 0.1


def test_who_writes_has_to_be_known():
    with pytest.raises(UsageError, match="begin"):
        list(source().step(0, 0, Share()))


@pytest.mark.parametrize("wrong", [{"written": 1.5}, {"replayed": -0.1}, {"kept": 0}])
def test_a_mix_has_bounds(wrong):
    with pytest.raises(UsageError):
        Mix(**wrong)
