"""Training in one call: a student, plain data, and a teacher if there is one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Features, Layers, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection, flat
from stillhouse.objectives.cross_tokenizer import ChunkLikelihood
from stillhouse.objectives.feature import EmbeddingCosine
from stillhouse.objectives.objective import Objective
from stillhouse.objectives.preference import DPO
from stillhouse.objectives.rationale import StepByStep
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.image import ImageTask
from stillhouse.tasks.preference import PreferenceTask
from stillhouse.tasks.rationale import RationaleTask
from stillhouse.tasks.task import Task
from stillhouse.teachers.cached import Cached
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, Local
from stillhouse.teachers.other_tokens import OtherTokens, check_across
from stillhouse.training.diagnostics import describe_step
from stillhouse.training.labelling import read_as
from stillhouse.training.look import answers, loss_of
from stillhouse.training.loop import Lesson, Schedule, Watch
from stillhouse.training.loop import train as train_lesson
from stillhouse.training.offline import Offline
from stillhouse.training.online import Online
from stillhouse.training.preferred import check_learns_pairs, judge_pairs
from stillhouse.training.source import Source
from stillhouse.training.task_for import Material, task_for

__all__ = ["Trained", "train"]

HELD_OUT, MOST_HELD_OUT = 10, 1_000
"""One row in so many is kept from training to pick the best weights by, and at most so many."""
STEPS, LEAST_EPOCHS, MOST_EPOCHS = 600, 3, 20
"""Where no schedule is given: as many epochs as make about so many steps."""
POSITIONS = 256
"""Positions of a batch whose answers are looked at for the record."""


@dataclass(frozen=True)
class Trained:
    """A trained student and a short record of it."""

    student: nn.Module
    """In evaluation mode, with the weights that did best on the rows held out."""
    before: Mapping[str, float]
    """Figures over the rows held out, before training; see `after`."""
    after: Mapping[str, float]
    """`accuracy` (share of known labels or next tokens), `top1_agreement`, `kl_to_teacher` (nats), `cosine`.

    Those that data and teacher allow; of pairs of answers see `judge_pairs`.
    """
    rows: int
    held_out: int
    """Rows that training did not see; 0 where there are too few rows, and all were both learnt and measured."""
    steps: int
    best_step: int
    seconds: float


def train(
    student: nn.Module,
    data: Any,
    teacher: Any = None,
    objective: Objective | None = None,
    tokenizer: Any = None,
    schedule: Schedule | None = None,
    size: int | None = None,
) -> Trained:
    """Train `student` in place on plain data, and return it with a short record.

    `data`: (texts, labels), (pictures, labels), or rows: texts, conversations (`messages`), `prompt` and `completion`,
    `text` and `label`, or pairs (`prompt`, `chosen`, `rejected`; their teacher is the reference, by default the student
    as it begins). `teacher`: a model that reads what the student reads, what `label` kept of one or another `Teacher`,
    or what one said of each row as an array `[rows, labels]` (vectors `[rows, width]` of encoders, and where the
    objective is of embeddings alone); None to learn from labels or texts alone. `objective`: by default forward KL,
    with labels beside it where they are known; of vectors their cosine; without a teacher cross-entropy; of pairs DPO;
    of rows with a `rationale` StepByStep. `tokenizer`: by default the one beside the student's weights; or a pair, the
    student's and the teacher's, where that is another and not beside its weights. Across tokenizers the objective is by
    default ChunkLikelihood with the words. `size`: rows a step.

    A tenth of the rows is held out to pick the best weights by. An encoder without a head that is to learn labels
    comes back inside a student with a new one. Raises UsageError where student, data and teacher do not fit.
    """
    started = time.monotonic()
    teacher = _in_words_of(objective, teacher)
    material = task_for(student, data, teacher, tokenizer)
    objective = objective or _objective(material, teacher)
    pairs = isinstance(material.task, PreferenceTask)
    check_learns_pairs(objective, pairs)
    if pairs and teacher is None and Kind.LIKELIHOOD in objective.needs:
        teacher = deepcopy(material.student)  # its reference
    _check_apart(material.student, teacher)
    if material.others is not None:
        reads = Local(cast("nn.Module", teacher), material.others)
        teacher = OtherTokens(reads, material.others, cast("ChatTask", material.task))
    if isinstance(teacher, OtherTokens):
        check_across(objective.needs)
    if isinstance(teacher, Cached):
        _check_kept(teacher, material, objective)
    learnt, held = _parts(material.rows, 0 if schedule is None else schedule.seed)
    size = size or (64 if len(learnt) >= 4_000 else 32 if len(learnt) >= 500 else 16)
    schedule = schedule or _schedule(-(-len(learnt) // size))
    asked = _Asked(material, teacher, size, schedule.seed)
    look = asked.source(held or learnt, still=True)
    look.begin(material.student, objective.taps.teacher)
    before = _figures(material.student, material.task, look)
    lesson = Lesson(material.student, material.task, asked.source(learnt), objective, _rates(material.student, pairs))
    watch = Watch(lambda now: -loss_of(now, material.task, look, objective), lambda done, total, note: None)
    position = train_lesson(lesson, schedule, watch)
    after = _figures(material.student, material.task, look)
    seconds = time.monotonic() - started
    return Trained(material.student, before, after, len(learnt), len(held), position.step, position.best_step, seconds)


@final
@dataclass(frozen=True)
class _Asked:
    """How rows are joined with what the teacher says of them."""

    material: Material
    teacher: Any
    size: int
    seed: int

    def source(self, rows: Sequence[int], still: bool = False) -> Source:
        """Batches of some rows; pictures as they are where `still`."""
        task: Task = self.material.task
        if still and isinstance(task, ImageTask):
            task = task.still()
        if self.teacher is None:
            return Offline(task, rows, self.size, self.seed)
        if isinstance(self.teacher, nn.Module):
            inside = ANSWERS_AND_INSIDE if self.material.scored else _INSIDE
            more = {Kind.EMBEDDING, Kind.LIKELIHOOD} if isinstance(task, PreferenceTask) else {Kind.EMBEDDING}
            return Online(task, Local(self.teacher, task, inside | more), rows, self.size, self.seed)
        if hasattr(self.teacher, "observe") and not isinstance(self.teacher, _Vectors):
            return Online(task, self.teacher, rows, self.size, self.seed)
        if isinstance(task, PreferenceTask):
            raise UsageError("Pairs of answers are measured against a model: give one, or none for the student itself.")
        vectors = self.teacher if isinstance(self.teacher, _Vectors) else _Vectors(self.teacher)
        told = vectors.told
        if told.dim() != 2 or len(told) != self.material.rows:
            raise UsageError(
                f"The teacher's answers have shape {list(told.shape)}; they must be [{self.material.rows}, labels], or "
                "vectors of that many rows."
            )
        if self.material.scored and vectors is not self.teacher:
            return Offline(task, rows, self.size, self.seed, told.unsqueeze(1))
        return Online(task, vectors, rows, self.size, self.seed)


_INSIDE = frozenset({Kind.HIDDEN, Kind.ATTENTION, Kind.HEADS})


@final
class _Vectors:
    """A teacher of which one vector for each row was kept."""

    tells = frozenset({Kind.EMBEDDING})
    tokenizer: str | None = None

    def __init__(self, vectors: Any) -> None:
        self.told = torch.as_tensor(np.asarray(vectors, dtype=np.float32))

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """The vectors of a batch's rows."""
        found = self.told[batch.rows.cpu()].to(batch.rows.device)
        return TeacherOutput(features=Features(embedding=found))


def _in_words_of(objective: Objective | None, teacher: Any) -> Any:
    """A teacher whose answers, an array, are taken as vectors where the objective is of vectors alone."""
    array = teacher is not None and not isinstance(teacher, nn.Module) and not hasattr(teacher, "observe")
    if not array or objective is None or objective.needs != {Kind.EMBEDDING}:
        return teacher
    return _Vectors(teacher)


def _check_apart(student: nn.Module, teacher: Any) -> None:
    """Refuse a teacher that holds weights of the student: it would be frozen, or learn."""
    if isinstance(teacher, nn.Module):
        shared = {id(weight) for weight in student.parameters()} & {id(weight) for weight in teacher.parameters()}
        if shared:
            raise UsageError("Student and teacher share weights, so neither could stay or learn. Copy one (deepcopy).")


def _check_kept(teacher: Cached, material: Material, objective: Objective) -> None:
    """Refuse signals of other rows than these, or of less than the objective needs."""
    if teacher.read_as not in (None, read_as(material.task, material.rows)):
        raise UsageError(
            "The signals were kept of other rows than these, or of the same ones read otherwise. Label the same data "
            "in the same order; the student must have its teacher's tokenizer, and read as many tokens."
        )
    teacher.check(objective.taps.teacher)


def _objective(material: Material, teacher: Any) -> Objective:
    if isinstance(material.task, PreferenceTask):
        return DPO()
    if isinstance(material.task, RationaleTask) and teacher is None:
        return StepByStep()
    if not material.scored:
        if teacher is None:
            raise UsageError("Without labels and without a teacher there is nothing to learn; give one of them.")
        return EmbeddingCosine()
    if teacher is None:
        if not material.labelled:
            raise UsageError("Without labels and without a teacher there is nothing to learn; give one of them.")
        return CrossEntropy()
    if material.others is not None or isinstance(teacher, OtherTokens):
        return 0.8 * ChunkLikelihood() + 0.2 * CrossEntropy()
    return 0.8 * ForwardKL(2) + 0.2 * CrossEntropy() if material.labelled else ForwardKL(2)


def _parts(rows: int, seed: int) -> tuple[list[int], list[int]]:
    """Rows to learn from, and rows held out (none of fewer than ten)."""
    order: list[int] = np.random.default_rng((seed, rows)).permutation(rows).tolist()
    held = min(rows // HELD_OUT, MOST_HELD_OUT)
    return sorted(order[held:]), sorted(order[:held])


def _schedule(steps: int) -> Schedule:
    """Enough epochs of so many steps each, in the number format that suits a GPU if there is one."""
    epochs = max(LEAST_EPOCHS, min(MOST_EPOCHS, STEPS // steps))
    return Schedule(epochs=epochs, precision="bf16" if torch.cuda.is_available() else "no")


def _rates(student: nn.Module, pairs: bool) -> list[tuple[nn.Module, float]] | None:
    """Learning rates: a student's own, low for a pretrained model, higher for adapters, for pairs of answers lower."""
    if hasattr(student, "learning_rates"):
        return None
    weights = list(student.parameters())
    learning = sum(weight.numel() for weight in weights if weight.requires_grad)
    if learning < 0.1 * sum(weight.numel() for weight in weights):
        return [(student, 5e-5 if pairs else 5e-4)]
    if pairs:
        return [(student, 5e-6)]
    return [(student, 2e-4 if isinstance(student, PreTrainedModel) else 1e-3)]


@torch.no_grad()
def _figures(student: nn.Module, task: Task, look: Source) -> dict[str, float]:
    """The means of figures over a source's batches, each over those that have it."""
    found: dict[str, list[float]] = {}
    for said, told, batch in answers(student, task, look, Layers()):
        if isinstance(task, PreferenceTask):
            judged = judge_pairs(said, told, batch)["student"]
            figures = {name: float(values.mean()) for name, values in judged.items()}
        else:
            figures = _of_batch(said, told, batch)
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _of_batch(said: StudentOutput, told: TeacherOutput, batch: Batch) -> dict[str, float]:
    described = describe_step(said, told, batch)
    figures = {name: described[name] for name in ("kl_to_teacher", "top1_agreement") if name in described}
    index = (batch.labels >= 0).flatten().nonzero().squeeze(-1)[:POSITIONS]
    if said.scores is not None and len(index):
        some = flat(said.scores)[index]
        logits = some.logits() if isinstance(some, Projection) else some
        figures["accuracy"] = float((logits.argmax(-1) == batch.labels.flatten()[index]).float().mean())
    mine, its = said.features.embedding, told.features.embedding
    if mine is not None and its is not None and mine.shape == its.shape:
        figures["cosine"] = float(nn.functional.cosine_similarity(mine.float(), its.float()).mean())
    return figures
