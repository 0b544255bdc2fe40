"""One training run as a recipe says it, in one process or as one of several: from folders to a folder."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import nn

from stillhouse.errors import StillhouseError, UsageError
from stillhouse.models.devices import choose
from stillhouse.objectives.objective import Objective
from stillhouse.objectives.response import CrossEntropy
from stillhouse.recipes.answers import answered_rows
from stillhouse.recipes.build import (
    Opened,
    label_numbers,
    make_objective,
    make_task,
    make_teacher,
    open_model,
    open_teachers,
    ready_to_learn,
    save_student,
)
from stillhouse.recipes.figures import measure
from stillhouse.recipes.label import open_signals, sample_ids
from stillhouse.recipes.read_rows import Rows
from stillhouse.recipes.sections import SourceKind, TaskName
from stillhouse.recipes.soft_labels import heard_labels
from stillhouse.recipes.training import TrainRecipe
from stillhouse.signals.kinds import Kind
from stillhouse.students.lora import merge
from stillhouse.tasks.classification import Classification
from stillhouse.tasks.image import ImageTask
from stillhouse.tasks.task import Task
from stillhouse.teachers.cached import Cached
from stillhouse.teachers.local import Local
from stillhouse.teachers.teacher import Teacher
from stillhouse.training.distributed import is_main
from stillhouse.training.events import Listener, Progress, silent
from stillhouse.training.exits import AtExits, Exits, PooledHead
from stillhouse.training.look import loss_of
from stillhouse.training.loop import Lesson, Schedule, Watch
from stillhouse.training.loop import train as train_lesson
from stillhouse.training.mutual import AmongPeers, Mutual, Peers
from stillhouse.training.offline import Offline
from stillhouse.training.on_policy import Mix, OnPolicy
from stillhouse.training.online import Online
from stillhouse.training.optimizer import layerwise
from stillhouse.training.rollout import Speech
from stillhouse.training.self_distill import EMA, LastBlock, born_again
from stillhouse.training.source import Source
from stillhouse.training.trackers import Run, Tracking

__all__ = ["Work", "look_at", "teach"]

ALONE = (SourceKind.BORN_AGAIN, SourceKind.EMA, SourceKind.EXITS, SourceKind.MUTUAL)
"""Sources whose teacher changes, so that students are measured by known answers and not by what they are told."""
CHECKPOINT_EVERY = 10.0
"""Seconds of training that a kill may cost."""
LOGS = 200
"""Figures are logged about so often in a run."""
RATE, ADAPTER_RATE, HEAD_RATE = 2e-4, 5e-4, 1e-3
PAIRS_RATE, PAIRS_ADAPTER_RATE = 5e-6, 5e-5


@dataclass(frozen=True)
class Work:
    """What a process has to know to train: it opens everything itself."""

    recipe: TrainRecipe
    folder: Path
    """Where checkpoints and then the student are written."""
    students: tuple[str, ...]
    """The folders (or hub ids) of the students as they begin."""
    home: Path
    trackers: tuple[str, ...] = ()
    reference: str | None = None
    """What pairs of answers are measured against where no teacher is named; by default the student as it begins."""


@dataclass(frozen=True)
class _Class:
    """Everything opened: who learns, from whom, what."""

    recipe: TrainRecipe
    rows: Rows
    task: Task
    students: Sequence[Opened]
    teacher: Teacher | None

    @property
    def first(self) -> nn.Module:
        return self.students[0].model

    def still(self) -> Task:
        """The task as it is measured: pictures are not varied."""
        return self.task.still() if isinstance(self.task, ImageTask) else self.task

    def look(self, rows: Sequence[int], words: bool = False) -> Source:
        """A source of rows to measure on."""
        return _plain(self.still(), None if words else self.teacher, rows, self.recipe)


def teach(work: Work, tell: Listener = silent) -> None:
    """Train a recipe's student and write it into the folder, with `training.json`, which says how it went.

    Every process of several calls this with the same work; the main one writes.
    """
    recipe = work.recipe
    room = _open(work)
    alone = recipe.source.kind in ALONE
    if alone:
        _check_answers(room)
    objective = make_objective(recipe, "The recipe")
    look, before = room.look(room.rows.selection), {}
    if recipe.training.processes == 1:  # of several, each has a device of its own, which the loop finds
        before = measure(room.first.to(choose().device), room.still(), look)
    watched = CrossEntropy() if alone else objective
    student, position = _train(work, room, (objective, watched), tell)
    if not math.isfinite(position["best_loss"]):
        raise StillhouseError(
            "The held-out loss was not a number throughout. Lower training.rate, and look at the data."
        )
    if not is_main():
        return
    model = _finished(student, room, watched)
    after = measure(model, room.still(), look)
    save_student(recipe, work.folder, replace(room.students[0], model=model), room.task)
    if isinstance(student, Exits) and student.heads:
        save_file(
            {name: value.contiguous() for name, value in student.heads.state_dict().items()},
            work.folder / "exits.safetensors",
        )
    weights = sum(weight.numel() for weight in model.parameters())
    told = {"before": before, "after": after, "parameters": weights, **position}
    (work.folder / "training.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def look_at(recipe: TrainRecipe, folder: Path, home: Path, began: str) -> dict[str, dict[str, float]]:
    """The figures of a trained student, which `began` as that model, and of its teacher, on the test rows."""
    room = _open(Work(recipe, folder, (str(folder),), home, reference=began), learn=False)
    room.first.to(choose().device).eval()
    return measure(room.first, room.still(), room.look(room.rows.test))


def _open(work: Work, learn: bool = True) -> _Class:
    """Everything that a recipe names; a teacher that only kept signals speak of is not opened to learn from."""
    recipe = work.recipe
    torch.manual_seed(recipe.seed)
    rows = answered_rows(recipe, work.home)
    students = [open_model(recipe.task, name) for name in work.students]
    if learn:
        for student in students:
            ready_to_learn(student.model, recipe.student)
    kept = recipe.reads_signals
    live = recipe.teacher.names and not (kept and learn)
    teachers = open_teachers(recipe) if live else _reference(work)
    task = make_task(recipe, rows, [*students, *teachers])
    teacher = make_teacher(recipe, task, teachers, rows)
    if kept and not live:
        signals = open_signals(recipe, rows, work.home)
        _check_tokens(signals.origin.tokenizer, students[0])
        teacher = Cached(signals, sample_ids(rows))
    if teacher is None and recipe.teacher.api:
        teacher = heard_labels(recipe, rows, work.home, label_numbers(students[0]))
    return _Class(recipe, rows, task, students, teacher)


def _check_tokens(tokenizer: str, student: Opened) -> None:
    """Refuse signals about the tokens of another tokenizer than the student's."""
    if tokenizer and tokenizer != student.vocabulary:
        raise UsageError(
            f"The signals are of another tokenizer than {student.name}'s, so a token of one is none of the other. Take "
            "an online source and an objective across tokenizers: stillhouse train --show cross_tokenizer."
        )


def _reference(work: Work) -> list[Opened]:
    """The student as it begins, where pairs of answers are measured against it; else nobody."""
    recipe = work.recipe
    pairs = recipe.task is TaskName.PREFERENCE and recipe.source.kind is SourceKind.ONLINE
    if not pairs or Kind.LIKELIHOOD not in make_objective(recipe, "The recipe").needs:
        return []
    return open_teachers(recipe, [work.reference or work.students[0]])


def _check_answers(room: _Class) -> None:
    """Refuse rows without answers where nothing else says how good a student is."""
    if room.recipe.task is not TaskName.CHAT and room.rows.answers is None:
        raise UsageError(
            f"The data {room.recipe.data.train} have no labels, and a student that teaches itself is measured by them."
        )


def _plain(task: Task, teacher: Teacher | None, rows: Sequence[int], recipe: TrainRecipe) -> Source:
    """Rows with what the teacher tells of them, if there is one."""
    if teacher is None:
        return Offline(task, rows, recipe.source.batch, recipe.seed)
    return Online(task, teacher, rows, recipe.source.batch, recipe.seed)


def _source(room: _Class) -> tuple[nn.Module, Task, Source]:
    """Who learns, what is asked, and where the teacher's word comes from (of all but generations)."""
    recipe, task, section = room.recipe, room.task, room.recipe.source
    rows, size, seed = room.rows.train, section.batch, recipe.seed
    match section.kind:
        case SourceKind.ON_POLICY if room.teacher is not None:
            speech = Speech(tokens=section.new_tokens, temperature=section.temperature)
            mix = Mix(section.share, 0.5 if section.replay else 0.0, max(1, section.replay))
            return room.first, task, OnPolicy(task, room.teacher, rows, size, seed, speech, mix)
        case SourceKind.EMA:
            return room.first, task, EMA(task, rows, size, seed, section.average)
        case SourceKind.EXITS:
            at_exits = AtExits(task, len(section.exits))
            return _with_exits(room), at_exits, LastBlock(at_exits, rows, size, seed)
        case SourceKind.MUTUAL:
            among = AmongPeers(task)
            return Peers([one.model for one in room.students]), among, Mutual(among, rows, size, seed)
        case _:
            return room.first, task, _plain(task, room.teacher, rows, recipe)


def _with_exits(room: _Class) -> Exits:
    """The student with answers after earlier blocks: through its own head if it writes, else through new ones."""
    section, task = room.recipe.source, room.task
    if room.recipe.task is TaskName.CHAT:
        return Exits.shared(room.first, section.exits)
    sizes = task.sizes if isinstance(task, Classification) else (cast("ImageTask", task).classes,)
    width = int(room.students[0].config.hidden_size)
    return Exits(room.first, {layer: PooledHead(width, sizes) for layer in section.exits})


def _rates(student: nn.Module, recipe: TrainRecipe) -> list[tuple[nn.Module, float]]:
    """Parts of the student with their peak learning rates."""
    if isinstance(student, Peers):
        return [part for one in student.students for part in _rates(one, recipe)]
    if isinstance(student, Exits):
        return [*_rates(student.student, recipe), (student.heads, HEAD_RATE)]
    whole, adapters = RATE, ADAPTER_RATE
    if recipe.task is TaskName.PREFERENCE:
        whole, adapters = PAIRS_RATE, PAIRS_ADAPTER_RATE
    rate = recipe.training.rate or (adapters if recipe.student.lora else whole)
    decay = recipe.student.layer_decay
    return layerwise(student, rate, decay) if decay < 1 else [(student, rate)]


def _schedule(recipe: TrainRecipe) -> Schedule:
    section = recipe.training
    return Schedule(
        epochs=section.epochs,
        shape=section.shape,
        warmup=section.warmup,
        weight_decay=section.weight_decay,
        clip=section.clip,
        accumulate=section.accumulate,
        evaluations=section.evaluations,
        patience=section.patience,
        precision=choose().precision if section.precision == "auto" else section.precision,
        seed=recipe.seed,
        shard="shard" in section.save_memory,
    )


def _recomputes(recipe: TrainRecipe) -> bool:
    return "recompute" in recipe.training.save_memory


def _train(
    work: Work, room: _Class, objectives: tuple[Objective, Objective], tell: Listener
) -> tuple[nn.Module, dict[str, Any]]:
    """Train, with checkpoints, and say how it went; gives the student with what it wears while it learns."""
    recipe, (objective, watched) = work.recipe, objectives
    schedule, generation, best = _schedule(recipe), 0, float("inf")
    alone = recipe.source.kind in ALONE
    look = room.look(room.rows.selection, words=alone)

    def score(student: nn.Module) -> float:
        nonlocal best
        loss = loss_of(_inner(student), room.still(), look, watched)
        best = min(best, loss)
        return -loss

    def advance(done: int, total: int, note: str) -> None:
        said = note.partition(",")[0] + (f", best held-out loss {best:.3f}" if best < float("inf") else "")
        tell(Progress("train", generation * total + done, generations * total, said))

    generations = recipe.source.generations if recipe.source.kind is SourceKind.BORN_AGAIN else 1
    total = schedule.epochs * -(-len(room.rows.train) // recipe.source.batch)
    run = Run(recipe.out.name, recipe.out, {"recipe": str(recipe.out), "seed": recipe.seed})
    with Tracking(run, work.trackers) as log:
        watch = Watch(
            score=score,
            tell=advance,
            log=lambda step, figures: log(generation * total + step, figures),
            log_every=max(1, total // LOGS),
            checkpoint=work.folder / ".checkpoint",
            checkpoint_every=CHECKPOINT_EVERY,
        )
        if recipe.source.kind is not SourceKind.BORN_AGAIN:
            student, task, source = _source(room)
            lesson = Lesson(student, task, source, objective, _rates(student, recipe), _recomputes(recipe))
            position = train_lesson(lesson, schedule, watch)
            return student, {"steps": position.step, "best_step": position.best_step, "best_loss": -position.best_score}
        untaught = deepcopy(room.first)

        def lesson_of(number: int, before: nn.Module | None) -> Lesson:
            nonlocal generation, best
            generation, best = number, float("inf")
            student = deepcopy(untaught)
            teacher = room.teacher if before is None else Local(before, room.task)
            asked: Objective = CrossEntropy() if teacher is None else objective
            source = _plain(room.task, teacher, room.rows.train, recipe)
            return Lesson(student, room.task, source, asked, _rates(student, recipe), _recomputes(recipe))

        students = born_again(lesson_of, generations, schedule, watch)
        return students[-1], {"steps": generations * total, "best_loss": best}


def _inner(student: nn.Module) -> nn.Module:
    """The student as it will be used, of what it wears while it learns."""
    if isinstance(student, Peers):
        return student.students[0]
    return student.student if isinstance(student, Exits) else student


def _finished(student: nn.Module, room: _Class, watched: Objective) -> nn.Module:
    """The student to be kept, its adapters merged: of peers the one that does best on the selection rows."""
    found = _inner(student)
    if isinstance(student, Peers):
        look = room.look(room.rows.selection, words=True)
        found = min(student.students, key=lambda one: loss_of(one, room.still(), look, watched))
    return merge(found).eval() if room.recipe.student.lora else found.eval()
