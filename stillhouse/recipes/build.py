"""From a recipe's words to things: models opened, the student made, the task, the teacher, the objective."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from stillhouse.artifacts import hash_json
from stillhouse.errors import UsageError
from stillhouse.models.devices import choose
from stillhouse.models.factored import save_model
from stillhouse.models.layers import blocks, token_embedding
from stillhouse.models.load import Dtype, load_causal, load_classifier, load_encoder, load_image, load_tokenizer
from stillhouse.models.tokenizers import read_ids
from stillhouse.objectives.catalog import CATALOG
from stillhouse.objectives.combine import WeightedSum
from stillhouse.objectives.objective import Objective
from stillhouse.recipes.read_rows import Rows, read_rows, spread
from stillhouse.recipes.sections import SourceKind, StudentSection, TaskName
from stillhouse.recipes.toml import fill
from stillhouse.recipes.training import TrainRecipe
from stillhouse.signals.keep import Keep
from stillhouse.signals.kinds import Kind
from stillhouse.students.lora import Lora, lora
from stillhouse.students.shrink import shrink
from stillhouse.tasks.chat import ChatTask, read_chat
from stillhouse.tasks.classification import Classification
from stillhouse.tasks.embedding import Pooling, read_texts, save_sentence_encoder
from stillhouse.tasks.image import Augmentation, ImageTask, look_of, read_images
from stillhouse.tasks.preference import read_preferences
from stillhouse.tasks.rationale import read_rationales
from stillhouse.tasks.task import Task
from stillhouse.tasks.turns import Counts
from stillhouse.teachers.ensemble import Ensemble
from stillhouse.teachers.local import ANSWERS_AND_INSIDE, Local
from stillhouse.teachers.other_tokens import OtherTokens, check_across
from stillhouse.teachers.teacher import Teacher
from stillhouse.training.preferred import check_learns_pairs

__all__ = [
    "Opened",
    "label_numbers",
    "make_objective",
    "make_student",
    "make_task",
    "make_teacher",
    "open_model",
    "open_teachers",
    "ready_to_learn",
    "save_student",
]


@dataclass(frozen=True)
class Opened:
    """A model with what reads for it: a tokenizer of Transformers, or an image processor if there is one."""

    name: str
    model: nn.Module
    reader: Any

    @property
    def config(self) -> Any:
        return self.model.config

    @property
    def vocabulary(self) -> str | None:
        """What identifies its tokenizer; None of image models."""
        return hash_json(self.reader.get_vocab()) if hasattr(self.reader, "get_vocab") else None


def open_model(task: TaskName, name: str, precision: str = "float32", labels: int | None = None) -> Opened:
    """The kind of model that a task needs, its weights held in a `teacher.precision` of a recipe.

    With `labels` it has a new head of so many where it has another or none.
    """
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # what is missing is checked, or meant
    try:
        return _open(task, name, precision, labels)
    finally:
        transformers_logging.set_verbosity(before)


def _open(task: TaskName, name: str, precision: str, labels: int | None) -> Opened:
    dtype: Dtype = "float32" if precision == "float32" else "bfloat16"
    if task.writes:
        few: dict[str, Literal[4, 8]] = {"int4": 4, "int8": 8}
        causal = load_causal(name, dtype, few.get(precision))
        return Opened(name, causal.model, causal.tokenizer)
    if task is TaskName.CLASSIFICATION:
        classifier = load_classifier(name, dtype, labels)
        return Opened(name, classifier.model, classifier.tokenizer)
    if task is TaskName.EMBEDDING:
        return Opened(name, load_encoder(name).model, load_tokenizer(name))
    image = load_image(name, dtype, labels)
    return Opened(name, image.model, image.processor)


def open_teachers(recipe: TrainRecipe, names: Sequence[str] | None = None) -> list[Opened]:
    """The teachers that a recipe names, or other models in their place, in evaluation mode."""
    names = recipe.teacher.names if names is None else names
    return [open_model(recipe.task, name, recipe.teacher.precision) for name in names]


def make_student(recipe: TrainRecipe, rows: Rows, number: int = 0) -> Opened:
    """The student before it learns: a model, made smaller or anew as the recipe says; `number` seeds peers apart."""
    section = recipe.student
    torch.manual_seed(recipe.seed + number)
    labels = (
        _labels(recipe, rows) if section.model and recipe.task in (TaskName.CLASSIFICATION, TaskName.IMAGE) else None
    )
    origin = open_model(recipe.task, section.model or recipe.teacher.names[0], labels=labels)
    model = origin.model
    if section.narrower or section.layers is not None:
        seen = _rows_of_importance(recipe, rows, origin) if section.looks else None
        model = shrink(model, section.layers, section.width, section.heads, ffn=section.ffn, batches=seen).cpu()
    names = _label_names(recipe, rows) if labels else ()
    if not set(names) <= set(label_numbers(origin)):
        config = cast("Any", model).config
        config.id2label, config.label2id = dict(enumerate(names)), {name: at for at, name in enumerate(names)}
    if section.fresh:
        torch.manual_seed(recipe.seed + number)
        model = cast("Any", type(model))(deepcopy(cast("Any", model).config)).eval()
    return Opened(origin.name, model, origin.reader)


def _rows_of_importance(recipe: TrainRecipe, rows: Rows, opened: Opened) -> list[Mapping[str, Tensor]]:
    """Some rows to learn from, as the model reads them, by which `shrink` tells what of it matters; it is moved there.

    They are spread evenly over the training part, so the same rows say the same.
    """
    some = spread(rows.train, recipe.student.importance_rows)
    answers = None if rows.answers is None else [rows.answers[row] for row in some]
    task = make_task(recipe, replace(rows, inputs=[rows.inputs[row] for row in some], answers=answers), [opened])
    task = task.still() if isinstance(task, ImageTask) else task
    opened.model.to(choose().device)
    size = recipe.source.batch
    return [task.batch(range(start, min(len(some), start + size))).inputs for start in range(0, len(some), size)]


def _labels(recipe: TrainRecipe, rows: Rows) -> int:
    """How many labels there are: as many as the teacher knows, else those of the rows."""
    if recipe.teacher.names:
        return int(open_model(recipe.task, recipe.teacher.names[0]).config.num_labels)
    names = _label_names(recipe, rows)
    known = {answer for answer in rows.answers or () if answer is not None}
    if names:
        return len(names)
    if not known:
        raise UsageError(
            f"The data {recipe.data.train} have no labels, and there is no teacher: nothing can be learnt."
        )
    return len(known) if any(isinstance(answer, str) for answer in known) else max(map(int, known)) + 1


def _label_names(recipe: TrainRecipe, rows: Rows) -> tuple[str, ...]:
    """The names of the labels in their order, where no teacher numbers them and they have names."""
    if recipe.teacher.names or recipe.task is not TaskName.CLASSIFICATION:
        return ()
    if recipe.teacher.api:
        return recipe.teacher.api.known_labels(rows.answers)
    known = {answer for answer in rows.answers or () if answer is not None}
    return tuple(sorted(known)) if all(isinstance(answer, str) for answer in known) else ()


def label_numbers(opened: Opened) -> dict[str, int]:
    """The numbers that a model gives to the names of its labels."""
    return {str(name): int(number) for number, name in (getattr(opened.config, "id2label", None) or {}).items()}


def ready_to_learn(model: nn.Module, section: StudentSection) -> nn.Module:
    """The same model with adapters, or with its first blocks frozen, as the recipe says."""
    if section.lora:
        return lora(model, Lora(rank=section.lora, alpha=2.0 * section.lora))
    model.requires_grad_(True)
    if section.freeze:
        for part in (token_embedding(model), *list(blocks(model))[: section.freeze]):
            part.requires_grad_(False)
    return model


def make_task(recipe: TrainRecipe, rows: Rows, models: Sequence[Opened]) -> Task:
    """The task of all rows as these models read them; the first one's reader is used, and others must read alike.

    For chat others may have another tokenizer: then it is kept where the tokens lie, for `make_teacher`.
    """
    first, data = models[0], recipe.data
    if recipe.task is TaskName.IMAGE:
        answers = None if rows.answers is None else _numbers(rows.answers, models).tolist()
        varied = Augmentation(crop=data.crop, flip=data.flip)
        look = look_of(first.reader or first.config)
        pictures = np.stack(rows.inputs) if len({image.shape for image in rows.inputs}) == 1 else rows.inputs
        return read_images(pictures, answers, int(first.config.num_labels), look, varied, recipe.seed)
    alike = _check_readers(models, data.tokens, recipe.task)
    if recipe.task is TaskName.CHAT:
        return _chat(recipe, rows, first, placed=not alike)
    if recipe.task is TaskName.PREFERENCE:
        return read_preferences(rows.inputs, first.reader, data.tokens, data.packed)
    if recipe.task is TaskName.RATIONALE:
        return read_rationales(rows.inputs, first.reader, data.tokens, data.prefixes, data.packed)
    if recipe.task is TaskName.EMBEDDING:
        return read_texts(rows.inputs, first.reader, data.tokens, Pooling(data.pooling), data.normalised)
    ids, padding = read_ids(rows.inputs, first.reader, data.tokens)
    known = rows.answers if rows.answers is not None else [None] * len(ids)
    classes, answers = int(first.config.num_labels), _numbers(known, models)
    if answers.max() >= classes:
        raise UsageError(f"A label of {data.train} is number {answers.max()}; {first.name} has {classes} labels.")
    return Classification(ids, answers[:, None], (classes,), padding)


def _chat(recipe: TrainRecipe, rows: Rows, opened: Opened, placed: bool) -> ChatTask:
    """The rows as one model reads them; `placed` where another reads other tokens."""
    data = recipe.data
    return read_chat(rows.inputs, opened.reader, Counts(data.counts), data.tokens, data.packed, placed)


def _check_readers(models: Sequence[Opened], tokens: int, task: TaskName) -> bool:
    """Whether all have one tokenizer, which only chat can do without; refuses texts longer than any of them reads."""
    others = [opened for opened in models[1:] if opened.vocabulary != models[0].vocabulary]
    if others and task is not TaskName.CHAT:
        raise UsageError(
            f"{models[0].name} and {others[0].name} have different tokenizers, so a token of one is none of the "
            f"other. For the task {task} recipes need teachers and students of one tokenizer."
        )
    for opened in models:
        most = getattr(opened.config, "max_position_embeddings", None)
        if most and tokens > most:
            raise UsageError(f"data: tokens = {tokens} is more than the {most} positions of {opened.name}. Set less.")
    return not others


def _numbers(answers: Sequence[Any], models: Sequence[Opened]) -> npt.NDArray[np.int64]:
    """Labels as numbers from 0, -1 for none; names as the first model that knows all of them numbers them."""
    names = {answer for answer in answers if isinstance(answer, str)}
    numbers = {name: at for at, name in enumerate(sorted(names))}
    for opened in reversed(models):
        known = label_numbers(opened)
        numbers = known if names and names <= set(known) else numbers
    return np.array([-1 if one is None else numbers.get(one, one) for one in answers], dtype=np.int64)


def make_teacher(recipe: TrainRecipe, task: Task, opened: Sequence[Opened], rows: Rows | None = None) -> Teacher | None:
    """The teachers as one that answers; None without any.

    One that reads other tokens than the student needs the `rows` again: without them they are read from the files.
    """
    if isinstance(task, ChatTask) and task.reading is not None:
        return _across(recipe, task, opened, rows or read_rows(recipe.data, recipe.task, recipe.seed))
    tells = ANSWERS_AND_INSIDE | {Kind.EMBEDDING}
    if recipe.task is TaskName.PREFERENCE:
        tells |= {Kind.LIKELIHOOD}
    if recipe.task is TaskName.EMBEDDING:
        tells = frozenset({Kind.HIDDEN, Kind.ATTENTION, Kind.HEADS, Kind.EMBEDDING})
    return _mixed(recipe, task, opened, tells) if opened else None


def _mixed(recipe: TrainRecipe, task: Task, opened: Sequence[Opened], tells: frozenset[Kind]) -> Teacher:
    """One teacher, or several mixed by their weights."""
    dtype = torch.bfloat16 if recipe.teacher.precision == "bf16" else None
    each = [Local(one.model, task, tells, dtype=dtype, tokenizer=one.vocabulary) for one in opened]
    return each[0] if len(each) == 1 else Ensemble(each, recipe.teacher.weights or None)


def _across(recipe: TrainRecipe, task: ChatTask, opened: Sequence[Opened], rows: Rows) -> Teacher:
    """The teacher, or the mixture of teachers of one tokenizer, where that is another than the student's."""
    check_across(make_objective(recipe, "The recipe").needs)
    if recipe.source.kind is not SourceKind.ONLINE:
        raise UsageError(
            "Teacher and student have different tokenizers. Then the teacher answers beside the student, from an "
            f"online source; here it is {recipe.source.kind}."
        )
    if len({one.vocabulary for one in opened}) > 1:
        raise UsageError(
            "The teachers have different tokenizers, so what they say cannot be mixed. Name teachers of one tokenizer, "
            "which may be another than the student's."
        )
    its = _chat(recipe, rows, opened[0], placed=True)
    return OtherTokens(_mixed(recipe, its, opened, ANSWERS_AND_INSIDE), its, task)


def make_objective(recipe: TrainRecipe, where: str) -> Objective:
    """The weighted sum of a recipe's terms; refuses unknown names and settings with the nearest known one."""
    terms: list[tuple[float, Objective]] = []
    for at, section in enumerate(recipe.objective):
        place = f"{where}: objective[{at}]"
        if section.name not in CATALOG:
            near = difflib.get_close_matches(section.name, CATALOG, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(CATALOG)}."
            raise UsageError(f"{place}: name = {section.name!r} is no objective. {hint}")
        made = fill(CATALOG[section.name][0], section.settings, f"{place} ({section.name}): settings")
        terms.append((section.weight, cast("Objective", made)))
        if section.name == "step_by_step" and recipe.task is not TaskName.RATIONALE:
            raise UsageError(f'{place}: step_by_step learns rows with a `rationale`: set task = "rationale".')
    found = WeightedSum(tuple(terms))
    try:
        check_learns_pairs(found, recipe.task is TaskName.PREFERENCE)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    if recipe.reads_signals and recipe.teacher.names:  # without a teacher the signals say themselves what they hold
        _check_kept(recipe, found, where)
    return found


def _check_kept(recipe: TrainRecipe, objective: Objective, where: str) -> None:
    """Refuse an objective that needs more of the teacher than is kept, before anything is asked."""
    keep, wanted = recipe.keep, objective.taps.teacher
    blocks = sorted(wanted.hidden - set(keep.hidden))
    more = Keep(keep.form, keep.count, tuple(sorted({*keep.hidden, *blocks})), keep.embedding or wanted.embedding)
    if wanted.attention or wanted.heads:
        raise UsageError(
            f"{where}: attention, queries, keys and values are not kept, and an objective needs them; take online."
        )
    if more != keep:
        raise UsageError(
            f"{where}: an objective needs {', '.join(sorted(set(more.words) - set(keep.words)))} of the teacher, and "
            f"what is kept is {', '.join(keep.words)}. Set keep = {json.dumps(list(more.words))}, or take online."
        )
    missing = objective.needs - keep.tells - {Kind.WORDS}
    if missing:
        raise UsageError(
            f"{where}: an objective needs {', '.join(sorted(missing))} of the teacher, and what is kept, "
            f"{', '.join(keep.words)}, tells {', '.join(sorted(keep.tells))}. {_OTHER_FORMS}"
        )


_OTHER_FORMS = "Keep another form, choose an objective that needs less (docs/objectives.md), or take online."


def save_student(recipe: TrainRecipe, folder: Path, student: Opened, task: Task) -> None:
    """Write a student as Transformers loads it, an encoder of sentences as Sentence-Transformers does.

    One with factored layers is written as Stillhouse loads it.
    """
    if recipe.task is TaskName.EMBEDDING:
        save_sentence_encoder(folder, student.model, student.reader, cast("Any", task), recipe.data.tokens)
        return
    save_model(student.model, folder)
    if student.reader is not None:
        student.reader.save_pretrained(folder)
