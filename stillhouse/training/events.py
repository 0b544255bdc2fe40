"""What a run says while it runs; whoever shows it decides how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Event", "Listener", "Note", "Progress", "StageDone", "StageStarted", "silent"]


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; `title` is for people."""

    stage: str
    title: str


@dataclass(frozen=True)
class Progress:
    """Work done in the running stage; `note` is its latest figure, such as the best agreement so far."""

    stage: str
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True)
class StageDone:
    """A stage ended; `skipped` when an earlier run had already made its artifact."""

    stage: str
    summary: str
    skipped: bool
    seconds: float


@dataclass(frozen=True)
class Note:
    """Something worth telling that is no progress."""

    text: str
    warning: bool = False


Event = StageStarted | Progress | StageDone | Note
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """A listener that shows nothing."""
