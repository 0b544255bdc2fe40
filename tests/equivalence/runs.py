"""Runs without dropout, whose loss at every step and final weights are kept, to be compared with each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from stillhouse.objectives.preference import DPO
from stillhouse.objectives.rationale import StepByStep
from stillhouse.objectives.response import CrossEntropy, ForwardKL, JensenShannon
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.classification import to_positions
from stillhouse.tasks.preference import PreferenceTask
from stillhouse.tasks.rationale import RationaleTask
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, Local
from stillhouse.training.loop import Schedule, train
from stillhouse.training.offline import Offline
from stillhouse.training.on_policy import Mix, OnPolicy
from stillhouse.training.online import Online
from stillhouse.training.rollout import Speech
from tests.training import pupils, sources, writers
from tests.training.sources import Made

SCHEDULE = Schedule(epochs=1, evaluations=1, patience=99)
UNEVEN = 0.6 * ForwardKL(2) + 0.4 * CrossEntropy()
"""Two terms that count different positions."""


@dataclass(frozen=True)
class Trace:
    """What a run left: the loss of each step, and the weights of the student in one row."""

    losses: list[float]
    weights: np.ndarray

    def far(self, other: Trace) -> tuple[float, float]:
        """How far another run's losses and weights are from these at most."""
        assert len(self.losses) == len(other.losses)
        losses = max(abs(one - two) for one, two in zip(self.losses, other.losses, strict=True))
        return losses, float(np.abs(self.weights - other.weights).max())


def uneven() -> Offline:
    """Some rows are answered, others the teacher told about, some both, some neither."""
    task, random = pupils.task(), np.random.default_rng(3)
    labels = np.where(random.random(task.labels.shape) < 0.5, task.labels, -1)
    logits = torch.from_numpy(random.normal(size=(pupils.ROWS, sum(pupils.SIZES))).astype(np.float32) * 3)
    told = torch.from_numpy(random.random(labels.shape) < 0.6)
    scores = to_positions(logits, pupils.SIZES)
    return Offline(replace(task, labels=labels), range(pupils.ROWS), pupils.SIZE, 0, scores, told)


def silent(made: torch.nn.Module) -> torch.nn.Module:
    """The same module without dropout."""
    for part in made.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return made


def offline() -> Made:
    source = uneven()
    return Made(silent(pupils.pupil("encoder")), source.task, source, UNEVEN, pupils.score)


def online() -> Made:
    task = uneven().task
    teacher = Local(pupils.pupil("encoder", seed=5), task)
    source = Online(task, teacher, range(pupils.ROWS), pupils.SIZE, 0)
    return Made(silent(pupils.pupil("encoder")), task, source, UNEVEN, pupils.score)


def language() -> Made:
    return replace(sources.language(), objective=UNEVEN)


def on_policy() -> Made:
    """Words count in a third of the rows, the teacher in all; what was written is judged again."""
    task = writers.task()
    mix = Mix(written=0.7, replayed=0.4, kept=7)
    source = OnPolicy(task, writers.teacher(), range(writers.ROWS), 8, 0, Speech(tokens=6), mix)
    return Made(writers.writer(), task, source, 0.8 * JensenShannon(0.9) + 0.2 * CrossEntropy(), writers.score)


def preferences() -> Made:
    """Pairs, measured against a reference and held near it."""
    task = PreferenceTask(writers.task(2 * writers.ROWS))
    tells = ANSWERS_AND_INSIDE | {Kind.LIKELIHOOD}
    source = Online(task, Local(writers.writer(3), task, tells), range(task.pairs), 6, 0)
    return Made(writers.writer(), task, source, 0.9 * DPO() + 0.1 * ForwardKL(), writers.score)


def rationales() -> Made:
    """Answers and reasons, each averaged over its own tokens, beside another term."""
    texts = writers.task(30)
    task = RationaleTask(texts, [0, *range(1, 30, 2), 30])
    source = Online(task, Local(writers.writer(3), task), range(task.samples), 6, 0)
    return Made(writers.writer(), task, source, 0.7 * StepByStep(0.3) + 0.3 * ForwardKL(), writers.score)


def mutual() -> Made:
    made = sources.mutual()
    silent(made.student)
    return made


def few_rows() -> Made:
    """Steps of a single row: of two processes one has nothing to do."""
    source = replace(uneven(), rows=range(3), size=1)
    return Made(silent(pupils.pupil("encoder")), source.task, source, UNEVEN, pupils.score)


def mostly_silent() -> Made:
    """Steps in which no row is answered and none was told about."""
    told = uneven()
    nothing = replace(told.task, labels=np.full_like(told.task.labels, -1))
    source = replace(told, task=nothing, told=torch.arange(pupils.ROWS).lt(10).unsqueeze(1).expand(-1, 2))
    return Made(silent(pupils.pupil("encoder")), source.task, source, UNEVEN, pupils.score)


RUNS: dict[str, Callable[[], Made]] = {
    "offline": offline,
    "online": online,
    "language": language,
    "on policy": on_policy,
    "preferences": preferences,
    "rationales": rationales,
    "mutual": mutual,
    "few rows": few_rows,
    "mostly silent": mostly_silent,
}
SHARDED = ("online", "language", "few rows")
"""Runs whose weights are spread over the processes too."""


def trace(
    made: Made, accumulate: int = 1, shard: bool = False, last: int | None = None, checkpoint: Path | None = None
) -> Trace:
    """Train, and keep what there is to compare; losses are heard by the main process only. `last` steps kill it."""
    torch.set_num_threads(1)
    losses: list[float] = []
    schedule = replace(SCHEDULE, accumulate=accumulate, shard=shard)
    log = lambda step, values: losses.append(values["loss"])  # noqa: E731
    watch = pupils.watch(score=made.score, log=log, log_every=1, checkpoint=checkpoint, checkpoint_every=0)
    train(made.lesson(None if last is None else pupils.Dying(made.source, last)), schedule, watch)
    weights = [value.flatten().float().numpy() for value in made.student.state_dict().values()]
    return Trace(losses, np.concatenate(weights))
