"""One pass from a batch to a loss; whether all weights take part in it, in one process and where one has nothing."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from stillhouse.models.outputs import Layers, TeacherOutput
from stillhouse.objectives.feature import HiddenStates
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.training.distributed import launch, number
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.offline import Offline
from stillhouse.training.study import Study
from tests.training import writers


def told(batch, hidden=frozenset()):
    return writers.teacher().observe(batch, Layers(hidden=hidden))


def test_the_loss_is_that_of_the_terms_by_their_shares():
    objective, batch = 0.6 * ForwardKL() + 0.4 * CrossEntropy(), writers.task().batch([0, 1, 2])
    study = Study(writers.writer(), writers.task(), objective)
    loss, said = study(batch, told(batch), [0.5, 2.0])
    totals = objective(writers.task().output(study.student, batch, Layers()), told(batch), batch).total
    torch.testing.assert_close(loss, 0.5 * totals[0] + 2.0 * totals[1])
    assert not said.scores.states.requires_grad


def test_what_an_objective_learns_is_made_once():
    study = Study(writers.writer(), writers.task(), HiddenStates({0: 0}))
    batch = writers.task().batch([0, 1])
    study.fit(batch, told(batch, frozenset({0})))
    assert [layer.weight.shape for layer in study.learns] == [(32, 16)]


def test_it_is_known_whether_all_weights_are_used():
    batch = writers.task().batch([0, 1])
    student = writers.writer()
    study = Study(student, writers.task(), ForwardKL())
    said, before = told(batch), torch.get_rng_state()
    assert study.uses_all(batch, said)
    assert torch.equal(torch.get_rng_state(), before)
    student.unused = nn.Linear(2, 2)
    assert not study.uses_all(batch, told(batch))
    student.unused.requires_grad_(False)
    assert study.uses_all(batch, told(batch))
    inner = Study(writers.writer(), writers.task(), HiddenStates({0: 0}))
    told_inside = told(batch, frozenset({0}))
    inner.fit(batch, told_inside)
    assert not inner.uses_all(batch, told_inside), "blocks above the first take no part"


def test_hearing_of_a_loss_adds_nothing():
    gradients = []
    batch = writers.task().batch([0, 1])
    for telling in (False, True):
        study = Study(writers.writer(), writers.task(), CrossEntropy())
        if telling:
            assert study.uses_all(batch, TeacherOutput())
        study(batch, TeacherOutput(), [1.0])[0].backward()
        gradients.append([weight.grad for weight in study.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def half_silent() -> list[np.ndarray]:
    """Two processes, of which one has a batch in which nothing counts at every second step."""
    torch.distributed.init_process_group("gloo")
    try:
        batch = writers.task().batch([0, 1])
        study = Study(writers.writer(), writers.task(), CrossEntropy())
        assert study.uses_all(batch, TeacherOutput())
        shared = DistributedDataParallel(study)
        found = []
        for step in range(3):
            silent = number() == 1 and step % 2 == 0
            given = replace(batch, labels=torch.full_like(batch.labels, -1)) if silent else batch
            shared(given, TeacherOutput(), [1.0])[0].backward()
            found.append(study.student.lm_head.weight.grad.numpy().copy())
            study.zero_grad()
        return found
    finally:
        torch.distributed.destroy_process_group()


def test_a_process_in_which_nothing_counts_still_takes_part():
    found = launch(2, half_silent, start="forkserver")
    for step in range(3):
        np.testing.assert_allclose(found[0][step], found[1][step], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(2 * found[0][0], found[0][1], rtol=1e-4, atol=1e-6)


def warned(unused: bool) -> list[str]:
    """What is warned of when two processes train."""
    student = writers.writer()
    if unused:
        student.unused = nn.Linear(2, 2)
    source = Offline(writers.task(), range(8), 4, 0)
    watch = Watch(lambda now: 0.0, lambda done, total, note: None)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        train(Lesson(student, writers.task(), source, CrossEntropy()), Schedule(epochs=1, evaluations=1), watch)
    return [str(one.message) for one in heard if "find_unused" in str(one.message)]


@pytest.mark.slow
def test_nothing_is_warned_of_whether_or_not_all_weights_are_used(capfd):
    for unused in (False, True):
        assert launch(2, warned, (unused,)) == {0: [], 1: []}
    assert "find_unused" not in capfd.readouterr().err
