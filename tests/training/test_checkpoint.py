"""A checkpoint puts everything back; without a whole one a run begins anew."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.training import checkpoint
from stillhouse.training.checkpoint import Moving, Position
from stillhouse.training.optimizer import make_optimizer, make_schedule
from tests.training.pupils import pupil, source


def kit(seed: int = 0) -> Moving:
    student = pupil("words", seed)
    optimizer = make_optimizer(student.learning_rates(), 1.0, 0.01)
    return Moving(student, optimizer, make_schedule(optimizer, 10, 0.1), source(seed))


def step(moving: Moving) -> None:
    ids = torch.tensor([[4, 5, 6]])
    moving.module(ids, torch.ones_like(ids)).sigmoid().sum().backward()
    moving.optimizer.step()
    moving.optimizer.zero_grad()
    moving.schedule.step()


@pytest.fixture
def saved(tmp_path):
    """The path of a checkpoint after one step, and its parts."""
    parts = kit()
    step(parts)
    position = Position(1, 0.5, 1, 2)
    checkpoint.save(tmp_path / "point", parts, position, {"bias": torch.ones(5)})
    return tmp_path / "point", parts, position


def test_everything_is_put_back(saved):
    path, parts, position = saved
    drawn = torch.rand(3)
    others = kit(seed=1)
    found, best = checkpoint.load(path, others)
    assert found == position
    assert torch.equal(best["bias"], torch.ones(5))
    assert torch.equal(torch.rand(3), drawn), "chance goes on where it was"
    step(parts)
    step(others)
    assert torch.equal(parts.module.table.weight, others.module.table.weight)
    assert parts.schedule.get_last_lr() == others.schedule.get_last_lr()


def test_nothing_there_is_nothing_to_go_on_from(tmp_path):
    assert checkpoint.load(tmp_path / "point", kit()) is None


@pytest.mark.parametrize("size", [0, 10, 1_000])
def test_neither_is_a_torn_file(saved, size):
    path = saved[0]
    path.write_bytes(path.read_bytes()[:size])
    assert checkpoint.load(path, kit()) is None


def test_a_kill_while_writing_leaves_the_one_before(saved):
    path, _, position = saved
    path.with_suffix(".writing").write_bytes(b"half a check")
    assert checkpoint.load(path, kit())[0] == position


def test_what_does_not_learn_is_not_written_and_stays(tmp_path):
    def frozen(seed: int) -> Moving:
        moving = kit(seed)
        for weight in list(moving.module.parameters())[:1]:
            weight.requires_grad_(False)
        return moving

    one, other = frozen(0), frozen(1)
    before = next(iter(other.module.parameters())).clone()
    checkpoint.save(tmp_path / "point", one, Position(1), None)
    checkpoint.load(tmp_path / "point", other)
    assert torch.equal(next(iter(other.module.parameters())), before)
    written = torch.load(tmp_path / "point", weights_only=True)["module"]
    assert len(written) == len(one.module.state_dict()) - 1


def test_another_number_of_processes_cannot_go_on(saved):
    path = saved[0]
    state = torch.load(path, weights_only=True)
    torch.save(state | {"random": state["random"] * 2}, path)
    with pytest.raises(UsageError, match="begun by 2 processes and is gone on with by 1"):
        checkpoint.load(path, kit())


def test_a_fresh_position_has_seen_no_score():
    assert Position().best_score < -1e9
    assert not Position().finished
