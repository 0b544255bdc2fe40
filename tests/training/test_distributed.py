"""Processes are started together, know who they are, and gather what each has; what fails is said."""

from __future__ import annotations

import sys
from copy import deepcopy

import pytest
import torch
from torch import nn

from stillhouse.errors import StillhouseError, UsageError
from stillhouse.training.distributed import (
    count,
    gathered,
    handed_out,
    is_main,
    launch,
    leading,
    load_optimizer,
    load_state,
    moving_weights,
    number,
    optimizer_state,
    shard,
    state_of,
)


def introduce(greeting: str) -> tuple:
    """What a process knows of itself and the others."""
    torch.distributed.init_process_group("gloo")
    try:
        return greeting, number(), count(), is_main(), gathered([number()] * (number() + 1))
    finally:
        torch.distributed.destroy_process_group()


def test_processes_know_of_each_other():
    assert launch(2, introduce, ("hello",), start="forkserver") == {
        0: ("hello", 0, 2, True, [0, 1, 1]),
        1: ("hello", 1, 2, False, [0, 1, 1]),
    }


def test_a_fresh_process_imports_what_it_runs():
    assert launch(1, introduce, ("hello",)) == {0: ("hello", 0, 1, True, [0])}


def fail() -> None:
    raise ValueError("the disk is full")


def test_a_process_that_fails_is_named():
    with pytest.raises(StillhouseError, match=r"Process \d of 2 ended with exit code 1: .*the disk is full"):
        launch(2, fail, start="forkserver")


def test_a_program_can_be_launched(tmp_path):
    program = "import os, pathlib; (pathlib.Path(os.environ['PLACE']) / os.environ['RANK']).write_text('here')"
    program = program.replace("os.environ['PLACE']", repr(str(tmp_path)))
    launch(2, sys.executable, ("-c", program))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_there_is_one_process_at_least():
    with pytest.raises(UsageError, match="1 process or more"):
        launch(0, fail)


def test_alone_a_process_is_the_main_one():
    assert (count(), number(), is_main(), gathered([3, 4])) == (1, 0, True, [3, 4])


def work_together(work: str | None) -> tuple:
    """One process leads and hands out work or none; the other does what it is given."""
    done = []

    def do(given: str) -> None:
        torch.distributed.init_process_group("gloo")
        done.append((given, gathered([number()])))

    if handed_out(do):
        return "helped", done, count()
    with leading() as company:
        if work is not None:
            company.share(work, do)
        return f"led {company.size}", done, count()


@pytest.mark.parametrize("work", ["a recipe", None])
def test_a_process_leads_those_of_its_launcher_and_lets_them_go(work):
    done = [] if work is None else [(work, [0, 1])]
    assert launch(2, work_together, (work,), start="forkserver") == {0: ("led 2", done, 1), 1: ("helped", done, 1)}


def test_without_a_launcher_nobody_is_led():
    assert not handed_out(fail)
    with leading() as company:
        assert company is None


def half_frozen() -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    module[0].requires_grad_(False)
    return module


def test_what_training_changes_is_weights_that_learn_and_buffers():
    names = moving_weights(half_frozen())
    assert names == [
        *(f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
        "2.weight",
        "2.bias",
    ]


def test_tied_weights_are_both_named():
    module = nn.Module()
    module.one, module.two = nn.Linear(2, 2), nn.Linear(2, 2)
    module.two.weight = module.one.weight
    module.one.weight.requires_grad_(False)
    assert moving_weights(module) == ["one.bias", "two.bias"]


def test_a_state_is_a_copy_and_is_put_back():
    module = half_frozen()
    kept = state_of(module)
    with torch.no_grad():
        module[2].weight += 1
        module[0].weight += 1
    frozen = module[0].weight.clone()
    load_state(module, kept)
    assert torch.equal(module[2].weight, half_frozen()[2].weight)
    assert torch.equal(module[0].weight, frozen), "what does not learn stays as it is"


def step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    module(torch.ones(5, 4) * torch.arange(5).unsqueeze(1)).pow(2).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def spread() -> tuple:
    """Two processes take a step sharded, put all into a fresh pair, and take another."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")

    def fresh(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        module = shard(nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 3)), torch.device("cpu"))
        return module, torch.optim.AdamW(module.parameters(), lr=0.1)

    try:
        module, optimizer = fresh(0)
        mine = sum(weight.to_local().numel() for weight in module.parameters())
        step(module, optimizer)
        other, its = fresh(1)
        load_state(other, state_of(module))
        moments = [deepcopy(optimizer_state(module, optimizer))]
        torch.distributed.broadcast_object_list(moments)
        load_optimizer(other, its, moments[0])
        step(module, optimizer)
        step(other, its)
        return mine, {name: value.numpy() for name, value in state_of(module).items()}, state_numpy(other)
    finally:
        torch.distributed.destroy_process_group()


def state_numpy(module: nn.Module) -> dict:
    return {name: value.numpy() for name, value in state_of(module).items()}


def test_sharded_weights_are_spread_gathered_and_put_back():
    found = launch(2, spread, start="forkserver")
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = torch.optim.AdamW(whole.parameters(), lr=0.1)
    for _ in range(2):
        step(whole, optimizer)
    assert sum(mine for mine, _, _ in found.values()) == sum(weight.numel() for weight in whole.parameters())
    assert max(mine for mine, _, _ in found.values()) < 40
    for _, one, other in found.values():
        for name, value in whole.state_dict().items():
            assert torch.allclose(torch.from_numpy(one[name]), value, atol=1e-6)
            assert torch.equal(torch.from_numpy(one[name]), torch.from_numpy(other[name]))


def test_an_unsharded_optimizer_is_put_back():
    one, other = half_frozen(), half_frozen()
    optimizers = [torch.optim.AdamW(module.parameters(), lr=0.1) for module in (one, other)]
    step(one, optimizers[0])
    load_state(other, state_of(one))
    load_optimizer(other, optimizers[1], deepcopy(optimizer_state(one, optimizers[0])))
    for module, optimizer in zip((one, other), optimizers, strict=True):
        step(module, optimizer)
    assert torch.equal(one[2].weight, other[2].weight)
