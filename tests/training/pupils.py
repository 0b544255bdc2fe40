"""A small task that can be learnt, a pupil of each family, and a source of batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.signals.kinds import Kind
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.static import StaticStudent
from stillhouse.students.student import Student
from stillhouse.students.words import WordsStudent
from stillhouse.tasks.classification import Classification, to_positions
from stillhouse.training.loop import Lesson, Schedule, Watch
from stillhouse.training.offline import Offline
from stillhouse.training.source import Share, Source
from tests.models import tiny

SIZES = (3, 2)
ROWS, SIZE = 44, 8
FAMILIES = ("words", "static", "encoder")


def task(rows: int = ROWS) -> Classification:
    """Texts of random tokens among which one tells the first label and another the second."""
    random = np.random.default_rng(0)
    labels = np.stack([random.integers(size, size=rows) for size in SIZES], axis=1)
    ids = [
        np.concatenate([random.integers(10, tiny.TOKENS, random.integers(2, 7)), [4 + first, 7 + second]])
        for first, second in labels
    ]
    return Classification(ids, labels, SIZES)


def pupil(family: str, seed: int = 0) -> Student:
    """An untaught student; the encoder has dropout."""
    torch.manual_seed(seed)
    if family == "words":
        return WordsStudent(tiny.TOKENS, sum(SIZES))
    if family == "static":
        return StaticStudent(torch.randn(tiny.TOKENS, 16), sum(SIZES))
    return EncoderStudent(tiny.encoder(seed=seed), sum(SIZES))


def source(seed: int = 0, soft: bool = True) -> Offline:
    """Batches in an order that follows from the seed, with what a sure teacher would say."""
    given = task()
    if not soft:
        return Offline(given, range(ROWS), SIZE, seed)
    raw = np.concatenate([np.eye(size, dtype=np.float32)[given.labels[:, at]] * 4 for at, size in enumerate(SIZES)], 1)
    told = torch.ones(ROWS, len(SIZES), dtype=torch.bool)
    return Offline(given, range(ROWS), SIZE, seed, to_positions(torch.from_numpy(raw), SIZES), told)


def lesson(student: Student, seed: int = 0, soft: bool = True, teacher=None) -> Lesson:
    """What is taught: soft answers mixed with words, or words alone."""
    objective = 0.7 * ForwardKL(2) + 0.3 * CrossEntropy() if soft else CrossEntropy()
    return Lesson(student, task(), teacher or source(seed, soft), objective)


def score(student: Student) -> float:
    """Share of rows answered rightly in every field."""
    given = task()
    batch = given.batch(range(ROWS))
    with torch.no_grad():
        picked = given.output(student, batch, Layers()).logits.argmax(-1)
    return float((picked == batch.labels).all(1).float().mean())


def watch(**options) -> Watch:
    """Scores, tells nobody."""
    return Watch(**({"score": score, "tell": lambda done, total, note: None} | options))


SCHEDULE = Schedule(epochs=3, evaluations=6, patience=99)


class Killed(Exception):
    """The machine went away."""


class Dying:
    """A source whose machine goes away when the step after `last` steps is asked for."""

    def __init__(self, inner: Source, last: int) -> None:
        self.inner, self.left = inner, last

    @property
    def tells(self) -> frozenset[Kind]:
        return self.inner.tells

    @property
    def steps(self) -> int:
        return self.inner.steps

    @property
    def follows(self) -> bool:
        return self.inner.follows

    def begin(self, student: nn.Module, layers: Layers) -> None:
        self.inner.begin(student, layers)

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        if not self.left:
            raise Killed
        self.left -= 1
        return self.inner.step(epoch, number, share)

    def stepped(self, student: nn.Module) -> None:
        self.inner.stepped(student)

    def state(self) -> dict[str, Any]:
        return self.inner.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.inner.restore(state)
