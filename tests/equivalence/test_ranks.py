"""One process with eight micro-batches, one with one, and two processes train the same student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stillhouse.errors import StillhouseError
from stillhouse.training.distributed import launch
from tests.equivalence.runs import RUNS, SHARDED, Trace, trace
from tests.training.pupils import Killed
from tests.training.sources import Made

every_run = pytest.mark.parametrize("name", RUNS)


def everything(folder: str) -> dict[str, dict[str, Trace]]:
    """What one of two processes makes of the runs."""
    language = {"language": RUNS["language"]}
    return {
        "whole": {name: trace(made()) for name, made in RUNS.items()},
        "parts": {name: trace(RUNS[name](), accumulate=3) for name in ("offline", "on policy")},
        "sharded": {name: trace(RUNS[name](), shard=True) for name in SHARDED},
        "sharded parts": {name: trace(made(), accumulate=3, shard=True) for name, made in language.items()},
        "killed": {name: killed(RUNS[name], Path(folder) / name) for name in ("on policy", "offline")},
        "killed sharded": {name: killed(made, Path(folder) / "sharded", True) for name, made in language.items()},
    }


def killed(make: Callable[[], Made], point: Path, shard: bool = False) -> Trace:
    """The run, killed twice and gone on with from its checkpoint."""
    for last in (1, 1):
        with pytest.raises(Killed):
            trace(make(), shard=shard, last=last, checkpoint=point)
    return trace(make(), shard=shard, checkpoint=point)


@pytest.fixture(scope="module")
def alone() -> dict[str, Trace]:
    return {name: trace(made()) for name, made in RUNS.items()}


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> dict[int, dict[str, dict[str, Trace]]]:
    return launch(2, everything, (str(tmp_path_factory.mktemp("points")),), start="forkserver")


def check(one: Trace, other: Trace) -> None:
    losses, weights = one.far(other)
    assert losses < 1e-6
    assert weights < 1e-5


@every_run
def test_eight_micro_batches_are_one(name, alone):
    check(alone[name], trace(RUNS[name](), accumulate=8))


def test_two_processes_are_one(alone, together):
    for how in ("whole", "parts"):
        for name, found in together[0][how].items():
            check(alone[name], found)


def test_so_are_two_that_share_the_weights(alone, together):
    for how in ("sharded", "sharded parts"):
        for name, found in together[0][how].items():
            check(alone[name], found)


def test_both_processes_end_with_the_same_student(together):
    for how, runs in together[0].items():
        for name, found in runs.items():
            assert np.array_equal(found.weights, together[1][how][name].weights), (how, name)


def test_only_the_main_process_tells(together):
    assert all(found.losses for found in together[0]["whole"].values())
    assert not any(found.losses for found in together[1]["whole"].values())


def test_two_processes_that_were_killed_end_with_the_very_same_student(together):
    for name, found in together[0]["killed"].items():
        assert np.array_equal(found.weights, together[0]["whole"][name].weights), name
        assert found.losses == together[0]["whole"][name].losses[-len(found.losses) :]
    sharded = together[0]["killed sharded"]["language"]
    assert np.array_equal(sharded.weights, together[0]["sharded"]["language"].weights)


def test_a_source_that_follows_its_student_cannot_be_sharded(together):
    assert together[0]["sharded"].keys() == set(SHARDED)
    with pytest.raises(StillhouseError, match="looks at the student at every step"):
        launch(2, sharded_follower, start="forkserver")


def sharded_follower() -> None:
    trace(RUNS["on policy"](), shard=True)
