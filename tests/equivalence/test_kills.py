"""Killed at twenty random steps, training ends as if it had not been: the same losses, the same weights, bit by bit."""

from __future__ import annotations

import pytest
import torch

from stillhouse.training.checkpoint import Position
from stillhouse.training.loop import Schedule, train
from tests.training.pupils import Dying, Killed, watch
from tests.training.sources import SOURCES, Made, lives

KILLS = 20
SCHEDULE = Schedule(epochs=6, evaluations=4, patience=99)


def taught(made: Made, losses: dict[int, float], last: int | None = None, checkpoint=None) -> Position:
    """A run that dies after `last` steps, if that is given; what it said of each step it took is in `losses`."""
    heard = watch(
        score=made.score,
        log=lambda step, values: losses.__setitem__(step, values["loss"]),
        log_every=1,
        checkpoint=checkpoint,
        checkpoint_every=0,
    )
    return train(made.lesson(None if last is None else Dying(made.source, last)), SCHEDULE, heard)


QUICK = ("offline", "on_policy")
EACH = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SOURCES]


@pytest.mark.parametrize("name", EACH)
def test_a_run_killed_again_and_again_ends_the_same(name, tmp_path):
    whole, losses = SOURCES[name](), {}
    position = taught(whole, losses)
    steps = SCHEDULE.epochs * whole.source.steps
    resumed: dict[int, float] = {}
    for last in lives(steps, KILLS, seed=len(name)):
        torch.manual_seed(last)  # what chance does in between must not matter
        with pytest.raises(Killed):
            taught(SOURCES[name](), resumed, last, tmp_path / "point")
    torch.manual_seed(99)
    made = SOURCES[name]()
    assert taught(made, resumed, checkpoint=tmp_path / "point") == position
    assert resumed == losses
    assert len(losses) == steps > KILLS
    for key, value in whole.student.state_dict().items():
        assert torch.equal(value, made.student.state_dict()[key]), key


@pytest.mark.parametrize("name", SOURCES)
def test_one_seed_gives_one_student(name):
    one, two = SOURCES[name](), SOURCES[name]()
    for made in (one, two):
        train(made.lesson(), Schedule(epochs=1, evaluations=1), watch(score=made.score))
    assert all(torch.equal(value, two.student.state_dict()[key]) for key, value in one.student.state_dict().items())
