"""The training loop: the only place where a loss is divided or a gradient taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, TeacherOutput
from stillhouse.objectives.objective import LossSum, Objective
from stillhouse.signals.kinds import Kind
from stillhouse.students.student import Student
from stillhouse.tasks.task import Task
from stillhouse.training import checkpoint
from stillhouse.training.checkpoint import Position
from stillhouse.training.optimizer import make_optimizer, make_schedule

__all__ = ["Lesson", "Schedule", "Source", "Watch", "train"]


class Source(Protocol):
    """Batches and what the teacher told about them; the loop does not know where they come from."""

    @property
    def tells(self) -> frozenset[Kind]: ...

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        ...

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Batch, TeacherOutput]]:
        """The batches of one epoch, from number `start`."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to train."""

    epochs: int = 10
    rate: float = 1.0
    """Multiplies the learning rates the student asks for."""
    warmup: float = 0.1
    """Share of the steps over which the rate rises."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest norm of the gradient."""
    evaluations: int = 10
    """How often the student is measured on the selection part."""
    patience: int = 4
    """Evaluations without a new best before stopping."""
    precision: str = "no"
    """`no` (float32) or `bf16` autocast."""
    seed: int = 0


@dataclass(frozen=True)
class Lesson:
    """What is taught: a student, a task, where batches come from, and what is to be matched."""

    student: Student
    task: Task
    source: Source
    objective: Objective

    def __post_init__(self) -> None:
        if not self.source.batches:
            raise UsageError("There is nothing to learn from: the source has no rows. Give it answered rows.")
        missing = self.objective.needs - self.source.tells
        if missing:
            raise UsageError(
                f"The objective needs {', '.join(sorted(missing))}, which this teacher does not tell "
                f"(it tells {', '.join(sorted(self.source.tells))})."
            )


@dataclass(frozen=True)
class Watch:
    """Who looks on: how good the student is, where to keep checkpoints, whom to tell, when to stop."""

    score: Callable[[Student], float]
    """Higher is better; on rows that training does not see."""
    tell: Callable[[int, int, str], None]
    """Called with steps done, steps in all and a note."""
    checkpoint: Path | None = None
    checkpoint_every: float = 10.0
    """Seconds between checkpoints: what a kill may cost."""
    deadline: float = float("inf")
    """`time.monotonic()` after which training ends at its next evaluation."""


def train(lesson: Lesson, schedule: Schedule, watch: Watch) -> Position:
    """Train `lesson.student` in place; afterwards it holds the weights that scored best.

    Killed and started again with the same arguments, it goes on from the last checkpoint and ends with
    the same weights.
    """
    run = _Run(lesson, schedule, watch)
    run.steps()
    return run.position


@final
class _Run:
    """One training run: the state between steps, and the step."""

    def __init__(self, lesson: Lesson, schedule: Schedule, watch: Watch) -> None:
        self.lesson, self.schedule, self.watch = lesson, schedule, watch
        torch.manual_seed(schedule.seed)
        self.total = schedule.epochs * lesson.source.batches
        self.every = max(1, self.total // schedule.evaluations)
        optimizer = make_optimizer(lesson.student.learning_rates(), schedule.rate, schedule.weight_decay)
        AcceleratorState._reset_state()  # one run's number format is not the next one's
        self.accelerator = Accelerator(mixed_precision=schedule.precision, cpu=not torch.cuda.is_available())
        self.student, self.optimizer = self.accelerator.prepare(lesson.student, optimizer)
        self.rates = make_schedule(optimizer, self.total, schedule.warmup)
        self.position = Position()
        self.best: dict[str, Any] | None = None
        self.saved_at = time.monotonic()
        self._resume()

    def steps(self) -> None:
        batches = self.lesson.source.batches
        while not self.position.finished and self.position.step < self.total:
            epoch, start = divmod(self.position.step, batches)
            for batch, teacher in self.lesson.source.epoch(epoch, start):
                self._step(batch, teacher)
                if self.position.finished:
                    break
        self.position.finished = True
        if self.best is not None:
            self.lesson.student.load_state_dict(self.best)
        self.accelerator.unwrap_model(self.student, keep_fp32_wrapper=False).eval()

    def _step(self, batch: Batch, teacher: TeacherOutput) -> None:
        self.student.train()
        batch, teacher = batch.to(self.accelerator.device), teacher.to(self.accelerator.device)
        raw = self.student(batch.input_ids, batch.attention_mask)
        loss = _mean(self.lesson.objective(self.lesson.task.output(raw), teacher, batch))
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.student.parameters(), self.schedule.clip)
        self.optimizer.step()
        self.rates.step()
        self.optimizer.zero_grad()
        self.position.step += 1
        self._look(loss)

    def _look(self, loss: Tensor) -> None:
        step = self.position.step
        if step % self.every == 0 or step == self.total:
            self._evaluate()
        if step % 5 == 0 or step == self.total:
            best = f", best {self.position.best_score:.1%}" if self.best is not None else ""
            self.watch.tell(step, self.total, f"loss {loss.item():.3f}{best}")
        if time.monotonic() - self.saved_at > self.watch.checkpoint_every:
            self.save()

    def _evaluate(self) -> None:
        self.lesson.student.eval()
        score, position = self.watch.score(self.lesson.student), self.position
        if score > position.best_score:
            position.best_score, position.best_step, position.since_best = score, position.step, 0
            self.best = {name: value.detach().clone() for name, value in self.lesson.student.state_dict().items()}
        else:
            position.since_best += 1
        position.finished = position.since_best >= self.schedule.patience or time.monotonic() > self.watch.deadline

    def save(self) -> None:
        """Write a checkpoint, if a place was given."""
        if self.watch.checkpoint is not None:
            checkpoint.save(
                self.watch.checkpoint, self.lesson.student, self.optimizer, self.rates, self.position, self.best
            )
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        if self.watch.checkpoint is None:
            return
        found = checkpoint.load(self.watch.checkpoint, self.lesson.student, self.optimizer, self.rates)
        if found is not None:
            self.position, self.best = found


def _mean(loss: LossSum) -> Tensor:
    """The mean over the positions that counted, term by term; the terms added."""
    return (loss.total / loss.count.clamp(min=1)).sum()
