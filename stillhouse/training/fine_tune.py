"""Fine-tuning: a language model learns conversations or preferences, and keeps what it is after every epoch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import nn

from stillhouse.models.adapted import load_writer
from stillhouse.models.load import CausalModel
from stillhouse.models.outputs import Layers
from stillhouse.objectives.catalog import CATALOG
from stillhouse.objectives.cross_tokenizer import ChunkLikelihood
from stillhouse.objectives.objective import Objective
from stillhouse.objectives.preference import DPO
from stillhouse.objectives.response import CrossEntropy
from stillhouse.signals.kinds import Kind
from stillhouse.students.lora import Lora, lora, save_adapted
from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.preference import PreferenceTask
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, Local
from stillhouse.teachers.other_tokens import OtherTokens
from stillhouse.training.conversations import Reads, prepare, read_conversations, read_pairs
from stillhouse.training.look import answers
from stillhouse.training.loop import Lesson, Schedule, Watch
from stillhouse.training.loop import train as train_lesson
from stillhouse.training.noted import CountedSource, HeardObjective, SomeBatches, add, means, seen
from stillhouse.training.offline import Offline
from stillhouse.training.online import Online
from stillhouse.training.source import Source

__all__ = ["KEPT", "WHOLE", "Match", "Tuning", "fine_tune"]

WHOLE = 100_000_000
"""Models of up to so many weights learn with all of them; larger ones by low-rank matrices beside their weights."""
ADAPTERS = Lora(rank=16, alpha=32.0)
RATE, ADAPTER_RATE, PAIRS_RATE, PAIRS_ADAPTER_RATE = 2e-4, 5e-4, 5e-6, 5e-5
"""Peak learning rates where the multiplier is 1: of supervised learning, and of preferences."""
KEPT = 3
"""Epochs of which the model is kept."""
TOGETHER = 8
"""Rows that are computed at once; a larger batch is gathered of several."""
LOOKS = 20
"""Batches of the validation file are looked at about so often between the epochs."""

Figures = dict[str, float]
Tell = Callable[[Mapping[str, Any]], None]


@final
@dataclass(frozen=True)
class Match:
    """A teacher whose scores are matched: a folder or hub id, by which objective, and how much that is of the loss."""

    teacher: str
    objective: str = "forward_kl"
    temperature: float = 1.0
    weight: float = 0.8


@final
@dataclass(frozen=True)
class Tuning:
    """What is learnt with, and where: `folder` takes the checkpoint and, under `epochs`, the models by their step."""

    base: str
    folder: Path
    method: Literal["supervised", "dpo"]
    epochs: int
    batch: int
    rate: float
    """Multiplies the learning rate."""
    beta: float
    seed: int
    match: Match | None = None
    context: int = 4_096
    """Tokens of the longest row, where the model can read so many."""
    checkpoint_every: float = 10.0
    """Seconds that a kill may cost."""


def fine_tune(plan: Tuning, rows: Sequence[Any], held: Sequence[Any], tell: Tell) -> None:
    """Train, telling what happens: first `total` (steps), `tokens` and `cut` (rows that were too long); then of every
    step `step` and its figures, and of every epoch `kept` (its step) and its figures, once its model is in its folder.

    Killed and called again with the same arguments it goes on from its checkpoint, and ends with the same weights; what
    it had told since then it tells again, in the same words. Raises UsageError where a row cannot be learnt from.
    """
    torch.manual_seed(plan.seed)
    loaded = load_writer(plan.base)
    prepare(loaded.tokenizer)
    room = _Room.furnish(plan, loaded, rows, held)
    total = plan.epochs * room.source.steps
    tell({"total": total, "tokens": plan.epochs * room.tokens, "cut": room.cut})
    diary = _Diary(plan, room, tell, total)
    lesson = Lesson(room.student, room.task, diary.counted, diary.heard, [(room.student, room.rate)])
    schedule = Schedule(
        epochs=plan.epochs,
        rate=plan.rate,
        accumulate=-(-plan.batch // TOGETHER),
        evaluations=plan.epochs,
        patience=plan.epochs + 1,
        precision="bf16" if torch.cuda.is_available() else "no",
        seed=plan.seed,
    )
    watch = Watch(
        score=diary.end_epoch,
        tell=lambda done, total, note: None,
        log=diary.log,
        log_every=1,
        checkpoint=plan.folder / ".checkpoint",
        checkpoint_every=plan.checkpoint_every,
    )
    train_lesson(lesson, schedule, watch)


@dataclass(frozen=True)
class _Room:
    """Everything opened: who learns, from what, and how it is looked at."""

    student: nn.Module
    tokenizer: Any
    task: ChatTask | PreferenceTask
    source: Source
    objective: Objective
    rate: float
    held: Source | None
    held_task: ChatTask | PreferenceTask
    held_objective: Objective
    tokens: int
    cut: int

    @classmethod
    def furnish(cls, plan: Tuning, loaded: CausalModel, rows: Sequence[Any], held: Sequence[Any]) -> _Room:
        """Read the rows, and open whoever else is there."""
        size = sum(weight.numel() for weight in loaded.model.parameters())
        context = min(plan.context, _context(loaded.config))
        pairs, model = plan.method == "dpo", loaded.model
        teacher = load_writer(plan.match.teacher) if plan.match else None
        across = teacher is not None and teacher.tokenizer.get_vocab() != loaded.tokenizer.get_vocab()
        if pairs:
            mine = read_pairs(rows, loaded.tokenizer, context)
            seen = read_pairs(held, loaded.tokenizer, context) if held else mine
        else:
            mine = read_conversations(rows, loaded.tokenizer, context, placed=across)
            seen = read_conversations(held, loaded.tokenizer, context) if held else mine
        reference = deepcopy(model) if pairs else None
        student = model.requires_grad_(True) if size <= WHOLE else lora(model, ADAPTERS)
        whole, adapters = (PAIRS_RATE, PAIRS_ADAPTER_RATE) if pairs else (RATE, ADAPTER_RATE)
        matched = DPO(plan.beta) if pairs else _objective(plan.match, across)
        if teacher is None:
            source = _source(mine, reference, plan)
        elif across:
            source = _across(mine, teacher, plan)
        else:
            source = _source(mine, teacher.model, plan)
        return cls(
            student=student,
            tokenizer=loaded.tokenizer,
            task=mine.task,
            source=source,
            objective=matched,
            rate=whole if size <= WHOLE else adapters,
            held=_source(seen, reference, plan) if held else None,
            held_task=seen.task,
            held_objective=matched if pairs else CrossEntropy(),
            tokens=mine.tokens,
            cut=mine.cut,
        )


def _objective(match: Match | None, across: bool) -> Objective:
    if match is None:
        return CrossEntropy()
    kind: Any = CATALOG[match.objective][0]
    wanted = ChunkLikelihood() if across else kind(temperature=match.temperature)
    if match.weight == 1:
        return wanted
    return match.weight * wanted + (1 - match.weight) * CrossEntropy()


def _source(reads: Reads, teacher: nn.Module | None, plan: Tuning) -> Source:
    task, rows = reads.task, range(reads.count)
    if teacher is None:
        return Offline(task, rows, plan.batch, plan.seed)
    more = {Kind.LIKELIHOOD} if isinstance(task, PreferenceTask) else set[Kind]()
    return Online(task, Local(teacher, task, ANSWERS_AND_INSIDE | more), rows, plan.batch, plan.seed)


def _across(mine: Reads, teacher: CausalModel, plan: Tuning) -> Source:
    """The rows with what a teacher says of them that reads other tokens."""
    prepare(teacher.tokenizer)
    task, its = mine.task, mine.by(teacher.tokenizer).task
    assert isinstance(task, ChatTask)
    assert isinstance(its, ChatTask)
    return Online(task, OtherTokens(Local(teacher.model, its), its, task), range(mine.count), plan.batch, plan.seed)


def _context(config: Any) -> int:
    """How many tokens a model can read."""
    inner = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx"):
        limit = getattr(inner, name, None)
        if isinstance(limit, int) and limit > 0:
            return limit
    return Tuning.context


@final
class _Diary:
    """Tells what happens, and keeps the model of each epoch."""

    def __init__(self, plan: Tuning, room: _Room, tell: Tell, total: int) -> None:
        self._plan, self._room, self._tell = plan, room, tell
        self._pairs = plan.method == "dpo"
        self._every = max(1, total // LOOKS)
        self._epoch: Figures | None = None
        self.counted = CountedSource(room.source)
        self.heard = HeardObjective(room.objective, self._pairs)

    def end_epoch(self, student: nn.Module) -> float:
        """Keep the model as it is; the later the better, so that the last one is what is left."""
        step = self.counted.step_number
        self._epoch = {}
        if self._room.held:
            figures = self._measure(student, range(self._room.held.steps))
            self._epoch = {f"full_valid_{name}": value for name, value in figures.items()}
        self._keep(student, step)
        return float(step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell of a step, and of the epoch that ended with it."""
        figures = {"train_loss": values["loss"]}
        figures |= {f"train_{name}": value for name, value in self.heard.taken().items()}
        held = self._room.held
        if held and (step % self._every == 0 or self._epoch is not None):
            some = self._measure(self._room.student, [(step // self._every) % held.steps])
            figures |= {f"valid_{name}": value for name, value in some.items()}
        self._tell({"step": step, **figures, **(self._epoch or {})})
        if self._epoch is not None:
            self._tell({"kept": step, **figures, **self._epoch})
        self._epoch = None

    def _keep(self, student: nn.Module, step: int) -> None:
        folder = self._plan.folder / "epochs"
        if not (folder / str(step)).is_dir():
            waiting = folder / f".{step}"
            shutil.rmtree(waiting, ignore_errors=True)
            waiting.mkdir(parents=True)
            save_adapted(student, waiting, self._plan.base, ADAPTERS)
            self._room.tokenizer.save_pretrained(waiting)
            waiting.rename(folder / str(step))
        kept = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
        for old in kept[:-KEPT]:
            shutil.rmtree(folder / str(old))

    @torch.no_grad()
    def _measure(self, student: nn.Module, numbers: Sequence[int]) -> Figures:
        """Loss and the rest over some batches of the validation file."""
        room, sums = self._room, dict[str, list[float]]()
        assert room.held
        look = SomeBatches(room.held, numbers)
        look.begin(student, room.held_objective.taps.teacher)
        for said, told, batch in answers(student, room.held_task, look, Layers()):
            part = room.held_objective(said, told, batch)
            add(sums, {"loss": (float(part.total.sum()), float(part.count.sum()))})
            add(sums, seen(said, told, batch, self._pairs))
        return means(sums)
