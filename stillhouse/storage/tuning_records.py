"""Records of fine-tuning: jobs, what happened in them, their checkpoints and models; knows no database."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["Level", "ModelKind", "NewEvent", "Status", "TunedModel", "TuningCheckpoint", "TuningEvent", "TuningJob"]

Level = Literal["info", "warn", "error"]


class Status(StrEnum):
    """How far a job is."""

    VALIDATING = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class ModelKind(StrEnum):
    """What lies in a tuned model's folder."""

    LANGUAGE = "language"
    """A Transformers folder."""
    BUNDLE = "bundle"
    """A student with its certificate."""


@dataclass(frozen=True, slots=True)
class TuningJob:
    """A job. `request` (what was asked for), `settled` (what `auto` came to) and `error` are JSON.

    `model` is the name that its model has or is to have; `owner` the worker that is at it; `ends` when it ended, while
    it runs when it may end. Times are in Unix seconds.
    """

    project: str
    id: str
    created: int
    status: Status
    request: bytes
    settled: bytes | None = None
    ends: int | None = None
    model: str | None = None
    tokens: int | None = None
    result_file: str | None = None
    error: bytes | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happens in a job, told once by its `key`; `data` is JSON.

    Keys that begin with `step:` are of events that tell figures.
    """

    key: str
    message: str
    level: Level = "info"
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class TuningEvent:
    """Something that happened in a job."""

    id: str
    created: int
    level: str
    message: str
    data: bytes | None
    metrics: bool


@dataclass(frozen=True, slots=True)
class TuningCheckpoint:
    """What a job keeps of the end of an epoch, served under the name `model`; `metrics` is JSON."""

    id: str
    job: str
    created: int
    step: int
    model: str
    metrics: bytes


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A model that a job made; `folder` lies in the home folder."""

    name: str
    project: str
    created: int
    job: str
    kind: ModelKind
    folder: str
