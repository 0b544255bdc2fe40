"""A run that is killed and resumed ends with the very weights of one that is not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from stillhouse.students.student import Student
from stillhouse.training.checkpoint import Position
from stillhouse.training.loop import train
from tests.structure.source import ROOT
from tests.training.pupils import FAMILIES, SCHEDULE, Dying, Killed, lesson, pupil, source, watch

every_family = pytest.mark.parametrize("family", FAMILIES)
STEPS = 18
"""Of a whole run: six batches, three times."""


def whole(family: str, seed: int = 0, precision: str = "no") -> tuple[Student, Position]:
    student = pupil(family)
    return student, train(lesson(student, seed), replace(SCHEDULE, seed=seed, precision=precision), watch())


def interrupted(family: str, lives: list[int], checkpoint, precision: str = "no") -> tuple[Student, Position]:
    """The same run, killed after each of `lives` steps and started again, each time from nothing but the checkpoint."""
    schedule = replace(SCHEDULE, precision=precision)
    for steps in lives:
        torch.manual_seed(steps)  # what chance does in between must not matter
        dying = lesson(pupil(family), teacher=Dying(source(), steps))
        with pytest.raises(Killed):
            train(dying, schedule, watch(checkpoint=checkpoint, checkpoint_every=0))
    torch.manual_seed(99)
    student = pupil(family)
    return student, train(lesson(student), schedule, watch(checkpoint=checkpoint, checkpoint_every=0))


def same(one: Student, other: Student) -> bool:
    return all(torch.equal(weight, other.state_dict()[name]) for name, weight in one.state_dict().items())


@every_family
@pytest.mark.parametrize("lives", [[1], [6], [7, 4], [17], [2, 3, 5]], ids=str)
def test_a_killed_run_ends_with_the_same_weights(family, lives, tmp_path):
    student, position = whole(family)
    resumed, found = interrupted(family, lives, tmp_path / "checkpoint")
    assert same(student, resumed)
    assert found == position
    assert position.step == STEPS


def test_so_does_one_in_bf16(tmp_path):
    student, position = whole("encoder", precision="bf16")
    resumed, found = interrupted("encoder", [7], tmp_path / "checkpoint", precision="bf16")
    assert same(student, resumed)
    assert found == position


DYING = """
import os, sys
from pathlib import Path
from stillhouse.training.loop import train
from tests.training.pupils import SCHEDULE, lesson, pupil, watch

def tell(done, total, note):
    if done == 10:
        os._exit(9)  # as kill -9 does: nothing is tidied up

train(lesson(pupil("static")), SCHEDULE, watch(tell=tell, checkpoint=Path(sys.argv[1]), checkpoint_every=0))
"""


def test_a_process_that_dies_leaves_what_another_goes_on_from(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DYING, str(tmp_path / "checkpoint")]
    assert subprocess.run(command, cwd=ROOT, env=environment, timeout=120, check=False).returncode == 9
    student, position = whole("static")
    resumed, found = interrupted("static", [], tmp_path / "checkpoint")
    assert same(student, resumed)
    assert found == position


@every_family
def test_one_seed_gives_one_student(family):
    assert same(whole(family)[0], whole(family)[0])


@every_family
def test_another_seed_gives_another(family):
    assert not same(whole(family)[0], whole(family, seed=1)[0])


def test_a_checkpoint_changes_nothing(tmp_path):
    assert same(whole("encoder")[0], interrupted("encoder", [], tmp_path / "checkpoint")[0])
