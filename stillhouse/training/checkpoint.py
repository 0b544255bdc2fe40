"""Save and resume exactly: weights, optimizer, schedule, random state, position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["Position", "load", "save"]


@dataclass
class Position:
    """How far a run is, and the best it has seen: the only thing that changes between two steps."""

    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    since_best: int = 0
    """Evaluations since the best one."""
    finished: bool = False


def save(
    path: Path, student: nn.Module, optimizer: Optimizer, schedule: LRScheduler, position: Position, best: Any
) -> None:
    """Write a checkpoint; a kill while writing leaves the one before."""
    waiting = path.with_suffix(".writing")
    state = {
        "student": student.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "position": vars(position).copy(),
        "best": best,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all(),
    }
    torch.save(state, waiting)
    waiting.replace(path)


def load(path: Path, student: nn.Module, optimizer: Optimizer, schedule: LRScheduler) -> tuple[Position, Any] | None:
    """Put everything back as it was when saved; None when there is nothing (whole) to go on from."""
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError):  # torn by a crash of the machine, not of the run
        return None
    student.load_state_dict(state["student"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["random"])
    torch.cuda.set_rng_state_all(state["random_cuda"])
    return Position(**state["position"]), state["best"]
