"""One lesson for each kind of source, small enough to be taught again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from stillhouse.models.outputs import Layers
from stillhouse.objectives.response import CrossEntropy, ForwardKL, JensenShannon
from stillhouse.teachers.ensemble import Ensemble
from stillhouse.teachers.local import Local
from stillhouse.training.exits import AtExits, Exits, PooledHead
from stillhouse.training.loop import Lesson
from stillhouse.training.mutual import AmongPeers, Mutual, Peers
from stillhouse.training.on_policy import Mix, OnPolicy
from stillhouse.training.online import Online
from stillhouse.training.rollout import Speech
from stillhouse.training.self_distill import EMA, LastBlock
from stillhouse.training.source import Share, Source
from tests.training import pupils, writers

SOFT_AND_WORDS = 0.7 * ForwardKL(2) + 0.3 * CrossEntropy()


@dataclass(frozen=True)
class Made:
    """A student and the source it learns from, both new."""

    student: nn.Module
    task: object
    source: Source
    objective: object
    score: Callable[[nn.Module], float]

    def lesson(self, source: Source | None = None) -> Lesson:
        return Lesson(self.student, self.task, source or self.source, self.objective)


def offline() -> Made:
    return Made(pupils.pupil("encoder"), pupils.task(), pupils.source(), SOFT_AND_WORDS, pupils.score)


def online() -> Made:
    task = pupils.task()
    source = Online(task, Local(pupils.pupil("encoder", seed=5), task), range(pupils.ROWS), pupils.SIZE, 0)
    return Made(pupils.pupil("encoder"), task, source, SOFT_AND_WORDS, pupils.score)


def language() -> Made:
    task = writers.task()
    source = Online(task, writers.teacher(), range(writers.ROWS), 6, 0)
    return Made(writers.writer(), task, source, SOFT_AND_WORDS, writers.score)


def ensemble() -> Made:
    task = writers.task()
    both = Ensemble([writers.teacher(8), writers.teacher(9)], [1, 3])
    source = Online(task, both, range(writers.ROWS), 6, 0)
    return Made(writers.writer(), task, source, 0.5 * JensenShannon() + 0.5 * CrossEntropy(), writers.score)


def on_policy() -> Made:
    task = writers.task()
    mix = Mix(written=0.7, replayed=0.4, kept=7)
    source = OnPolicy(task, writers.teacher(), range(writers.ROWS), 6, 0, Speech(tokens=6), mix)
    return Made(writers.writer(), task, source, 0.8 * JensenShannon(0.9) + 0.2 * CrossEntropy(), writers.score)


def ema() -> Made:
    task = pupils.task()
    source = EMA(task, range(pupils.ROWS), pupils.SIZE, 0, 0.9)
    return Made(pupils.pupil("encoder"), task, source, SOFT_AND_WORDS, pupils.score)


def exits() -> Made:
    width = 32
    torch.manual_seed(1)
    student = Exits(pupils.pupil("encoder"), {0: PooledHead(width, pupils.SIZES), 1: PooledHead(width, pupils.SIZES)})
    task = AtExits(pupils.task(), 2)
    source = LastBlock(task, range(pupils.ROWS), pupils.SIZE, 0)
    return Made(student, task, source, SOFT_AND_WORDS, lambda student: pupils.score(student.student))


def shared_exits() -> Made:
    task = AtExits(writers.task(), 1)
    source = LastBlock(task, range(writers.ROWS), 6, 0)
    student = Exits.shared(writers.writer(), [0])
    return Made(student, task, source, SOFT_AND_WORDS, lambda student: writers.score(student.student))


def mutual() -> Made:
    task = AmongPeers(pupils.task())
    source = Mutual(task, range(pupils.ROWS), pupils.SIZE, 0)
    student = Peers([pupils.pupil("encoder"), pupils.pupil("static", 1), pupils.pupil("words", 2)])
    return Made(student, task, source, SOFT_AND_WORDS, lambda student: pupils.score(student.students[0]))


def together() -> Made:
    """A teacher that learns from words while its student learns from it."""
    task = AmongPeers(writers.task())
    source = Mutual(task, range(writers.ROWS), 6, 0, ((), (0,)))
    student = Peers([writers.writer(1, 32), writers.writer(2)])
    return Made(student, task, source, SOFT_AND_WORDS, lambda student: writers.score(student.students[1]))


SOURCES: dict[str, Callable[[], Made]] = {
    "offline": offline,
    "online": online,
    "language": language,
    "ensemble": ensemble,
    "on policy": on_policy,
    "ema": ema,
    "exits": exits,
    "shared exits": shared_exits,
    "mutual": mutual,
    "together": together,
}


def observed(source: Source, student: nn.Module, epoch: int = 0, number: int = 0):
    """What a source that has just begun gives in one step."""
    source.begin(student, Layers())
    return list(source.step(epoch, number, Share()))


def lives(steps: int, kills: int, seed: int = 0) -> list[int]:
    """How many steps each life of a run takes that is killed at random steps."""
    ends = np.sort(np.random.default_rng(seed).choice(np.arange(1, steps), kills, replace=False))
    return np.diff(ends, prepend=0).tolist()
