"""Save and resume exactly: weights that learn, optimizer, schedule, source, random state, position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stillhouse.errors import UsageError
from stillhouse.training.distributed import (
    count,
    gathered,
    is_main,
    load_optimizer,
    load_state,
    number,
    optimizer_state,
    state_of,
)
from stillhouse.training.source import Source

__all__ = ["Moving", "Position", "load", "save"]


@dataclass
class Position:
    """How far a run is, and the best it has seen: the only thing that changes between two steps."""

    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    since_best: int = 0
    """Evaluations since the best one."""
    finished: bool = False


@dataclass(frozen=True)
class Moving:
    """What changes from step to step: the module that learns, the optimizer, its schedule, and the source."""

    module: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    source: Source


def save(path: Path, moving: Moving, position: Position, best: Any) -> None:
    """Write a checkpoint; a kill while writing leaves the one before. All processes must call; the main one writes."""
    state = {
        "module": state_of(moving.module),
        "optimizer": optimizer_state(moving.module, moving.optimizer),
        "schedule": moving.schedule.state_dict(),
        "source": moving.source.state(),
        "position": vars(position).copy(),
        "best": best,
        "random": gathered([_chance()]),
    }
    if is_main():
        waiting = path.with_suffix(".writing")
        torch.save(state, waiting)
        waiting.replace(path)


def load(path: Path, moving: Moving) -> tuple[Position, Any] | None:
    """Put everything back as it was when saved; None when there is nothing (whole) to go on from."""
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError):  # torn by a crash of the machine, not of the run
        return None
    if len(state["random"]) != count():
        raise UsageError(
            f"This run was begun by {len(state['random'])} processes and is gone on with by {count()}. Start as many, "
            f"or delete {path} to begin anew."
        )
    load_state(moving.module, state["module"])
    load_optimizer(moving.module, moving.optimizer, state["optimizer"])
    moving.schedule.load_state_dict(state["schedule"])
    moving.source.restore(state["source"])
    own = state["random"][number()]
    torch.set_rng_state(own["cpu"])
    if "cuda" in own:
        torch.cuda.set_rng_state(own["cuda"])
    return Position(**state["position"]), state["best"]


def _chance() -> dict[str, Tensor]:
    """Where the random numbers of this process are."""
    found = {"cpu": torch.get_rng_state()}
    return found | {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else found
