"""A checkpoint puts everything back; without a whole one a run begins anew."""

from __future__ import annotations

import pytest
import torch

from stillhouse.students.student import Student
from stillhouse.training import checkpoint
from stillhouse.training.checkpoint import Position
from stillhouse.training.optimizer import make_optimizer, make_schedule
from tests.training.pupils import pupil


def kit(seed: int = 0) -> tuple[Student, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    student = pupil("words", seed)
    optimizer = make_optimizer(student.learning_rates(), 1.0, 0.01)
    return student, optimizer, make_schedule(optimizer, 10, 0.1)


def step(student, optimizer, schedule) -> None:
    ids = torch.tensor([[4, 5, 6]])
    student(ids, torch.ones_like(ids)).sigmoid().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    schedule.step()


@pytest.fixture
def saved(tmp_path):
    """The path of a checkpoint after one step, and its parts."""
    parts = kit()
    step(*parts)
    position = Position(1, 0.5, 1, 2)
    checkpoint.save(tmp_path / "point", *parts, position, {"bias": torch.ones(5)})
    return tmp_path / "point", parts, position


def test_everything_is_put_back(saved):
    path, parts, position = saved
    drawn = torch.rand(3)
    others = kit(seed=1)
    found, best = checkpoint.load(path, *others)
    assert found == position
    assert torch.equal(best["bias"], torch.ones(5))
    assert torch.equal(torch.rand(3), drawn), "chance goes on where it was"
    step(*parts)
    step(*others)
    assert torch.equal(parts[0].table.weight, others[0].table.weight)
    assert parts[2].get_last_lr() == others[2].get_last_lr()


def test_nothing_there_is_nothing_to_go_on_from(tmp_path):
    assert checkpoint.load(tmp_path / "point", *kit()) is None


@pytest.mark.parametrize("size", [0, 10, 1_000])
def test_neither_is_a_torn_file(saved, size):
    path = saved[0]
    path.write_bytes(path.read_bytes()[:size])
    assert checkpoint.load(path, *kit()) is None


def test_a_kill_while_writing_leaves_the_one_before(saved):
    path, _, position = saved
    path.with_suffix(".writing").write_bytes(b"half a check")
    assert checkpoint.load(path, *kit())[0] == position


def test_a_fresh_position_has_seen_no_score():
    assert Position().best_score < -1e9
    assert not Position().finished
