"""The training loop: the only place where a loss is divided or a gradient taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, final

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from torch import Tensor, nn
from transformers import PreTrainedModel

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, TeacherOutput
from stillhouse.objectives.objective import Objective
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.task import Task
from stillhouse.training import checkpoint
from stillhouse.training.checkpoint import Moving, Position
from stillhouse.training.diagnostics import describe_step
from stillhouse.training.distributed import count, gathered, is_main, load_state, shard, state_of
from stillhouse.training.optimizer import make_optimizer, make_schedule
from stillhouse.training.source import Share, Source
from stillhouse.training.study import Study

__all__ = ["Lesson", "Schedule", "Watch", "train"]


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to train."""

    epochs: int = 10
    rate: float = 1.0
    """Multiplies the learning rates of the student's parts."""
    shape: str = "cosine"
    """How the rate falls after the warm-up: `cosine`, `linear`, or `constant` (not at all)."""
    warmup: float = 0.1
    """Share of the steps over which the rate rises."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest norm of the gradient."""
    accumulate: int = 1
    """Micro-batches that each process makes of its share of a step; the result does not depend on it."""
    evaluations: int = 10
    """How often the student is measured on the selection part."""
    patience: int = 4
    """Evaluations without a new best before stopping."""
    precision: str = "no"
    """`no` (float32) or `bf16` autocast."""
    seed: int = 0
    shard: bool = False
    """Spread weights, gradients and optimizer state over the processes; each still keeps the student to measure it."""

    def __post_init__(self) -> None:
        for name, value in (("epochs", self.epochs), ("accumulate", self.accumulate)):
            if value < 1:
                raise UsageError(f"Schedule's {name} must be 1 or more; it is {value}.")


@dataclass(frozen=True)
class Lesson:
    """What is taught: a student, a task, where batches come from, and what is to be matched."""

    student: nn.Module
    task: Task
    source: Source
    objective: Objective
    rates: Sequence[tuple[nn.Module, float]] | None = None
    """Parts of the student with their peak learning rates; by default what the student asks for, or 3e-4 for all."""
    recompute: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory for a third more time."""

    def __post_init__(self) -> None:
        if not self.source.steps:
            raise UsageError("There is nothing to learn from: the source has no rows. Give it answered rows.")
        missing = self.objective.needs - self.source.tells
        if missing:
            raise UsageError(
                f"The objective needs {', '.join(sorted(missing))}, which this teacher does not tell "
                f"(it tells {', '.join(sorted(self.source.tells))})."
            )

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """Parts of the student with their peak learning rates."""
        if self.rates is not None:
            return list(self.rates)
        own = getattr(self.student, "learning_rates", None)
        return cast("list[tuple[nn.Module, float]]", own()) if callable(own) else [(self.student, 3e-4)]


def _no_log(step: int, values: Mapping[str, float]) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Watch:
    """Who looks on: how good the student is, where to keep checkpoints, whom to tell, when to stop."""

    score: Callable[[Any], float]
    """Higher is better; given the student, on rows that training does not see."""
    tell: Callable[[int, int, str], None]
    """Called with steps done, steps in all and a note."""
    log: Callable[[int, Mapping[str, float]], None] = _no_log
    """Called with steps done and figures by name."""
    log_every: int = 0
    """Steps between two logs; 0 for none."""
    checkpoint: Path | None = None
    checkpoint_every: float = 10.0
    """Seconds between checkpoints: what a kill may cost."""
    deadline: float = float("inf")
    """`time.monotonic()` after which training ends at its next evaluation."""


def train(lesson: Lesson, schedule: Schedule, watch: Watch) -> Position:
    """Train `lesson.student` in place; afterwards it holds the weights that scored best.

    Killed and started again with the same arguments, it goes on from the last checkpoint and ends with
    the same weights. In several processes (`launch`, or torchrun) each calls this with the same arguments and
    takes its share of every step; the result is that of one process, but for rounding.
    """
    run = _Run(lesson, schedule, watch)
    run.steps()
    return run.position


@dataclass(frozen=True)
class _Pieces:
    """One process's micro-batches of a step: the first `real` ones count, others only keep step with its neighbours."""

    every: Sequence[tuple[Batch, TeacherOutput]]
    real: int


@final
class _Run:
    """One training run: the state between steps, and the step."""

    def __init__(self, lesson: Lesson, schedule: Schedule, watch: Watch) -> None:
        self.lesson, self.schedule, self.watch = lesson, schedule, watch
        torch.manual_seed(schedule.seed)
        self.total = schedule.epochs * lesson.source.steps
        self.every = max(1, self.total // schedule.evaluations)
        AcceleratorState._reset_state()  # one run's number format is not the next one's
        self.sharing = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(
            mixed_precision=schedule.precision,
            cpu=not torch.cuda.is_available(),
            kwargs_handlers=[self.sharing],
        )
        self.share = Share(self.accelerator.process_index, self.accelerator.num_processes, schedule.accumulate)
        self.sharded = schedule.shard and count() > 1
        if self.sharded and lesson.source.follows:
            raise UsageError(
                f"{type(lesson.source).__name__} looks at the student at every step, of which no process has the whole "
                "when it is sharded. Train it without `shard`, or from an Online or Offline source."
            )
        self._prepare()
        self.position = Position()
        self.best: dict[str, Tensor] | None = None
        self.saved_at = self.logged_at = time.monotonic()
        self.spoken = torch.zeros(2, dtype=torch.float64)
        self._resume()

    def _prepare(self) -> None:
        """Put the study on its device, with its optimizer, shared among the processes."""
        lesson, schedule, device = self.lesson, self.schedule, self.accelerator.device
        lesson.student.to(device)
        lesson.source.begin(lesson.student, lesson.objective.taps.teacher)
        if self.sharded:
            student, rates = deepcopy((lesson.student, lesson.rates))  # together, so that rates are of its parts
            lesson = replace(lesson, student=student, rates=rates)
        if lesson.recompute:
            _recompute(lesson.student, True)
        study: Any = Study(lesson.student, lesson.task, lesson.objective)
        if lesson.objective.needs & _INSIDE or lesson.objective.taps.student:
            study.fit(*self._pieces(0, 0).every[0])
        study.to(device)
        learns = list(study.learns)
        study = shard(study, device) if self.sharded else study
        parts = [*lesson.learning_rates(), *((module, 1e-3) for module in learns)]
        optimizer = make_optimizer(parts, schedule.rate, schedule.weight_decay)
        self.inner = study
        if self.sharded:
            self.study, self.optimizer = study, self.accelerator.prepare_optimizer(optimizer)
        else:
            if count() > 1:
                with self.accelerator.autocast():
                    self.sharing.find_unused_parameters = not study.uses_all(*self._pieces(0, 0).every[0])
            self.study, self.optimizer = self.accelerator.prepare(study, optimizer)
        self.rates = make_schedule(optimizer, self.total, schedule.warmup, schedule.shape)

    def steps(self) -> None:
        while not self.position.finished and self.position.step < self.total:
            self._step(*divmod(self.position.step, self.lesson.source.steps))
        self.position.finished = True
        if self.best is not None:
            load_state(self.lesson.student, self.best)
        if not self.sharded:
            self.accelerator.unwrap_model(self.study, keep_fp32_wrapper=False)
        if self.lesson.recompute:
            _recompute(self.lesson.student, False)
        self.lesson.student.eval()

    def _step(self, epoch: int, number: int) -> None:
        """One step of the optimizer: the sums of all micro-batches of all processes, divided once by their counts.

        A step in which nothing counts changes no weight.
        """
        self.study.train()
        pieces = self._pieces(epoch, number)
        counts = self._counts(pieces)
        shares = (1 / counts.double().where(counts > 0, 1)).reshape(-1).tolist()
        loss, seen = torch.zeros((), device=self.accelerator.device), {}
        for at, (batch, teacher) in enumerate(pieces.every if counts.any() else ()):
            last = at == len(pieces.every) - 1
            with self._alone(not last):
                with self._cast():
                    part, said = self.study(batch, teacher, shares)
                part = part * float(at < pieces.real)
                if last and self._logs(self.position.step + 1):
                    seen = describe_step(said, teacher, batch)
                self.accelerator.backward(part * self.share.ranks)  # gradients of processes are averaged, not added
            loss = loss + part.detach()
        torch.nn.utils.clip_grad_norm_(self.study.parameters(), self.schedule.clip)
        self.optimizer.step()
        self.rates.step()
        self.optimizer.zero_grad()
        self.position.step += 1
        self.lesson.source.stepped(self.lesson.student)
        self._look(loss)
        if self.watch.log_every:
            self._log(loss, seen, pieces)
        self._save_in_time()

    def _pieces(self, epoch: int, number: int) -> _Pieces:
        """This process's share of a step; as many micro-batches as in the process that has most of them."""
        source = self.lesson.source
        with self.accelerator.autocast():
            mine = [self._on_device(piece) for piece in source.step(epoch, number, self.share)]
            real, most = len(mine), max(gathered([len(mine)]))
            if not mine:  # fewer rows than processes
                mine = [self._on_device(next(iter(source.step(epoch, number, Share()))))]
        return _Pieces([*mine, *[mine[-1]] * (most - len(mine))], real)

    def _counts(self, pieces: _Pieces) -> Tensor:
        """How much counts in this step, in all processes: `[]` or `[terms]`."""
        each = [self.lesson.objective.count(teacher, batch) for batch, teacher in pieces.every]
        return torch.as_tensor(self.accelerator.reduce(torch.stack(each)[: pieces.real].sum(0), "sum"))

    def _on_device(self, piece: tuple[Batch, TeacherOutput]) -> tuple[Batch, TeacherOutput]:
        return piece[0].to(self.accelerator.device), piece[1].to(self.accelerator.device)

    def _alone(self, more: bool) -> AbstractContextManager[Any]:
        """Gradients stay in this process while more micro-batches of the step are to come."""
        return self.accelerator.no_sync(self.study) if more and not self.sharded else nullcontext()

    def _cast(self) -> AbstractContextManager[Any]:
        """What is not prepared by Accelerate is cast here."""
        return self.accelerator.autocast() if self.sharded else nullcontext()

    def _look(self, loss: Tensor) -> None:
        step = self.position.step
        if step % self.every == 0 or step == self.total:
            self._evaluate()
        if step % 5 == 0 or step == self.total:
            best = f", best {self.position.best_score:.3f}" if self.best is not None else ""
            note = f"loss {self._of_all(loss).item():.3f}{best}"
            if is_main():
                self.watch.tell(step, self.total, note)

    def _logs(self, step: int) -> bool:
        return self.watch.log_every > 0 and step % self.watch.log_every == 0

    def _log(self, loss: Tensor, seen: Mapping[str, float], pieces: _Pieces) -> None:
        """Tell how the step went, with what was `seen` of its last micro-batch; speed is that since the last log."""
        self.spoken += _size_of(pieces)
        if not self._logs(self.position.step):
            return
        now = time.monotonic()
        rows, tokens = (self._of_all(self.spoken.to(loss.device)) / max(now - self.logged_at, 1e-9)).tolist()
        figures = {"loss": self._of_all(loss).item(), "rate": self.rates.get_last_lr()[0], "rows_per_s": rows}
        figures |= {"tokens_per_s": tokens} if tokens else {}
        if is_main():
            self.watch.log(self.position.step, {**figures, **seen})
        self.logged_at, self.spoken = now, torch.zeros_like(self.spoken)

    def _of_all(self, value: Tensor) -> Tensor:
        return torch.as_tensor(self.accelerator.reduce(value, "sum"))

    def _agreed(self, value: Any) -> Any:
        """What the main process thinks."""
        return broadcast_object_list([value])[0] if count() > 1 else value

    def _evaluate(self) -> None:
        student, position = self.lesson.student, self.position
        if self.sharded:
            load_state(student, _of_student(state_of(self.inner)))
        student.eval()
        score = self._agreed(self.watch.score(student))
        if score > position.best_score:
            position.best_score, position.best_step, position.since_best = score, position.step, 0
            self.best = state_of(student)
        else:
            position.since_best += 1
        late = self._agreed(time.monotonic() > self.watch.deadline)
        position.finished = position.since_best >= self.schedule.patience or late

    def _save_in_time(self) -> None:
        """Write a checkpoint if a place was given and the last is old."""
        place = self.watch.checkpoint
        if place is None or not self._agreed(time.monotonic() - self.saved_at > self.watch.checkpoint_every):
            return
        moving = Moving(self.inner, self.optimizer, self.rates, self.lesson.source)
        checkpoint.save(place, moving, self.position, self.best)
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        if self.watch.checkpoint is None:
            return
        moving = Moving(self.inner, self.optimizer, self.rates, self.lesson.source)
        found = checkpoint.load(self.watch.checkpoint, moving)
        if found is not None:
            self.position, self.best = found


_INSIDE = frozenset({Kind.HIDDEN, Kind.ATTENTION, Kind.HEADS, Kind.EMBEDDING})
"""What objectives may learn projectors for."""


def _of_student(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The student's part of the state of a study."""
    return {name.removeprefix("student."): value for name, value in state.items() if name.startswith("student.")}


def _recompute(student: nn.Module, again: bool) -> None:
    """Have a Transformers model keep only what enters its blocks, and compute the rest again for gradients; or not."""
    for part in student.modules():
        if isinstance(part, PreTrainedModel):
            if again:
                part.activation_checkpointing_enable({"use_reentrant": False})
            else:
                part.activation_checkpointing_disable()
            return
    raise UsageError(f"{type(student).__name__} cannot compute its activations again: it is no Transformers model.")


def _size_of(pieces: _Pieces) -> Tensor:
    """Rows and tokens of the micro-batches that count."""
    batches = [batch for batch, _ in pieces.every[: pieces.real]]
    masks = [batch.inputs["attention_mask"] for batch in batches if "attention_mask" in batch.inputs]
    rows, tokens = sum(len(batch.rows) for batch in batches), sum(int(mask.sum()) for mask in masks)
    return torch.tensor([rows, tokens], dtype=torch.float64)
