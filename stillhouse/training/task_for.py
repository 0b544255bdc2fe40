"""From a model and plain data to the task that fits both: texts or pictures, with labels or without, conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel

from stillhouse.errors import UsageError
from stillhouse.models.layers import fan_out, linear_layers
from stillhouse.models.tokenizers import read_ids
from stillhouse.signals.kinds import Kind
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.student import Student
from stillhouse.tasks.chat import ChatTask, read_chat
from stillhouse.tasks.classification import Classification
from stillhouse.tasks.embedding import read_texts
from stillhouse.tasks.explained import is_explained
from stillhouse.tasks.image import look_of, read_images
from stillhouse.tasks.pairs import is_pair
from stillhouse.tasks.preference import read_preferences
from stillhouse.tasks.rationale import read_rationales
from stillhouse.tasks.task import Task

__all__ = ["Material", "task_for"]

Labels = npt.NDArray[np.int64]
TOKENS = 512
"""Longer texts are cut."""


@dataclass(frozen=True)
class Material:
    """What is learnt: a task of so many rows, and the student, with a new head where it had none for the labels."""

    task: Task
    student: nn.Module
    rows: int
    labelled: bool
    """Whether words are known: labels, or texts to go on with."""
    scored: bool
    """Whether the student answers with scores; if not, with a vector for each text."""
    others: ChatTask | None = None
    """The rows as the teacher reads them, where its tokenizer is another than the student's."""


def task_for(student: nn.Module, data: Any, teacher: Any = None, tokenizer: Any = None) -> Material:
    """The task that a student and its data make; `teacher` (a model, or its answers as an array) says the labels.

    `data` is (texts, labels), (pictures, labels), or rows: texts, pictures, mappings with `text` and `label`, what
    `read_chat` takes (and `rationale`), or pairs of answers. A language model learns to go on with texts, or to tell
    answers apart; an encoder without a head learns labels with a new one if there are any, and vectors if not, as any
    student does from an encoder. Raises UsageError where the two do not fit. `tokenizer` is the student's, or a pair of
    the student's and the teacher's.
    """
    inputs, labels = _apart(data)
    tokenizer, its = cast("tuple[Any, Any]", tokenizer) if isinstance(tokenizer, tuple) else (tokenizer, None)
    if not len(inputs):
        raise UsageError("There is nothing to learn from: the data hold no rows.")
    if labels is not None and len(labels) != len(inputs):
        raise UsageError(f"There are {len(inputs)} inputs and {len(labels)} labels; give one for each.")
    if _pictures(inputs):
        return _images(student, inputs, labels, teacher)
    writes = _can(student, "can_generate")
    if writes and labels is None:
        reads = _tokenizer(student, tokenizer)
        its = _other_tokenizer(student, reads, teacher, its)
        made = _writing(inputs, reads, _limit(student), its is not None)
        others = None if its is None else read_chat(inputs, its, tokens=_limit(teacher), placed=True)
        return Material(made, student, len(inputs), labelled=True, scored=True, others=others)
    if writes:
        raise UsageError(
            f"{type(student).__name__} writes text, and the data have labels. Load it by "
            "AutoModelForSequenceClassification, or give the labels as completions: rows of `prompt` and `completion`."
        )
    return _texts(student, inputs, labels, teacher, tokenizer)


def _writing(rows: Sequence[Any], tokenizer: Any, tokens: int, placed: bool) -> Task:
    """The task of a language model: pairs of answers, answers with reasons, or what it is to go on with.

    It is `placed` for a teacher with another tokenizer, which the first two cannot have.
    """
    explained = any(is_explained(row) for row in rows)
    if placed and (explained or is_pair(rows[0])):
        raise UsageError(
            "Teacher and student have different tokenizers. Pairs of answers and answers with reasons are learnt from "
            "a teacher of the same one, or from none."
        )
    if is_pair(rows[0]):
        return read_preferences(rows, tokenizer, tokens)
    if explained:
        return read_rationales(rows, tokenizer, tokens)
    return read_chat(rows, tokenizer, tokens=tokens, placed=placed)


def _apart(data: Any) -> tuple[Any, Any]:
    """Inputs and labels, None without."""
    if isinstance(data, tuple) and len(cast("tuple[Any, ...]", data)) == 2:
        return cast("tuple[Any, Any]", data)
    if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) and "label" in row for row in data):
        if any("text" not in row for row in data):
            raise UsageError("Rows with a `label` need a `text`; for pictures give (pictures, labels).")
        return [row["text"] for row in data], [row["label"] for row in data]
    if isinstance(data, str) or not hasattr(data, "__len__"):
        raise UsageError(
            f"Data must be rows or (inputs, labels); a {type(data).__name__} is neither. Put its rows into a list."
        )
    return data, None


def _pictures(inputs: Any) -> bool:
    """Whether inputs are arrays or PIL images."""
    return isinstance(inputs, np.ndarray) or isinstance(inputs[0], np.ndarray) or hasattr(inputs[0], "getpixel")


def _can(model: nn.Module, what: str) -> bool:
    ask = getattr(model, what, None)
    return bool(ask()) if callable(ask) else False


def _images(student: nn.Module, pictures: Any, labels: Any, teacher: Any) -> Material:
    if _headless(student):
        raise UsageError(
            f"{type(student).__name__} has no head for labels; load it by AutoModelForImageClassification."
        )
    classes = _classes(student) or _classes(teacher)
    answers = None if labels is None else _numbers(labels, student, teacher)
    config = getattr(student, "config", None)
    made = read_images(pictures, None if answers is None else answers.tolist(), classes, look_of(config))
    return Material(made, student, len(made.pixels), labelled=answers is not None, scored=True)


def _texts(student: nn.Module, texts: Any, labels: Any, teacher: Any, tokenizer: Any) -> Material:
    texts = [row["text"] if isinstance(row, Mapping) and "text" in row else row for row in texts]
    other = next((row for row in texts if not isinstance(row, str)), None)
    if other is not None:
        raise UsageError(f"{type(student).__name__} learns from texts; a row is {str(other)[:80]!r}.")
    reads = _tokenizer(student, tokenizer)
    if labels is None and (_gives_vectors(teacher) or (_headless(student) and not _classifies(teacher))):
        return Material(read_texts(texts, reads, _limit(student)), student, len(texts), labelled=False, scored=False)
    answers = np.full(len(texts), -1) if labels is None else _numbers(labels, student, teacher)
    classes = (None if _headless(student) else _classes(student)) or _classes(teacher) or int(answers.max()) + 1
    if answers.max() >= classes or classes < 2:
        raise UsageError(f"The labels go up to {answers.max()}, and there are {classes} classes; number them from 0.")
    if _headless(student):
        student = EncoderStudent(student, classes)
    ids, padding = read_ids(texts, reads, _limit(student))
    made = Classification(ids, answers[:, None].astype(np.int64), (classes,), padding)
    return Material(made, student, len(ids), labelled=labels is not None, scored=True)


def _other_tokenizer(student: nn.Module, mine: Any, teacher: Any, given: Any) -> Any:
    """The tokenizer of a teacher that writes, given or beside its weights; None where it numbers tokens alike."""
    if not isinstance(teacher, nn.Module) or not _can(teacher, "can_generate"):
        return None
    if given is None:
        names = [getattr(getattr(model, "config", None), "_name_or_path", "") for model in (student, teacher)]
        if not names[1] or names[0] == names[1]:
            return None
        try:
            given = _tokenizer(teacher, None)
        except UsageError:  # it is taken to read what the student reads
            return None
    few, many = sorted((mine.get_vocab(), given.get_vocab()), key=len)
    return None if few.items() <= many.items() else given


def _tokenizer(student: nn.Module, given: Any) -> Any:
    """The tokenizer given, or the one that lies beside the student's (or its teacher's) weights."""
    if given is not None:
        return given
    config = getattr(student, "config", None) or getattr(getattr(student, "encoder", None), "config", None)
    name = getattr(config, "_name_or_path", "")
    if not name:
        raise UsageError(f"{type(student).__name__} does not say where it comes from: give its tokenizer.")
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"There is no tokenizer in {name!r}, where the student comes from: give one.") from error


def _limit(student: nn.Module) -> int:
    """How many tokens of a text are read: those the student has positions for, two of which may be taken."""
    config = getattr(student, "config", None) or getattr(getattr(student, "encoder", None), "config", None)
    return min(TOKENS, (getattr(config, "max_position_embeddings", None) or TOKENS + 2) - 2)


def _inner(model: Any) -> Any:
    """A model without the wrapper that adapters put around it."""
    inside = getattr(model, "get_base_model", None)
    return inside() if callable(inside) else model


def _headless(model: Any) -> bool:
    """Whether a model of Transformers gives states and no answers."""
    inner = _inner(model)
    return isinstance(inner, PreTrainedModel) and "For" not in type(inner).__name__


def _classifies(model: Any) -> bool:
    """Whether a teacher is known to give scores for labels."""
    inner = _inner(model)
    return isinstance(inner, Student) or (isinstance(inner, PreTrainedModel) and "ForSeq" in type(inner).__name__)


def _gives_vectors(teacher: Any) -> bool:
    """Whether a teacher is known to give a vector for a text and no scores: an encoder, or what was kept of one."""
    tells = getattr(teacher, "tells", frozenset[Kind]())
    return _headless(teacher) or (Kind.EMBEDDING in tells and Kind.SOFT not in tells)


def _classes(model: Any) -> int | None:
    """How many labels a model, or an array of its answers, scores; None where it does not say."""
    if isinstance(model, nn.Module):
        if isinstance(_inner(model), PreTrainedModel):
            return None if _headless(model) else int(_inner(model).config.num_labels)
        last = list(linear_layers(model))[-1:]
        return fan_out(last[0]) if last else None
    shape = getattr(model, "shape", None)
    return int(shape[-1]) if shape is not None else None


def _numbers(labels: Any, student: nn.Module, teacher: Any) -> Labels:
    """Labels as numbers from 0, -1 for None; names as the models number them, or in their order."""
    given = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    names = {label for label in given if isinstance(label, str)}
    if not names:
        return np.array([-1 if label is None else label for label in given], dtype=np.int64)
    known = [_names(getattr(model, "config", None)) for model in (student, teacher)]
    numbers = next((numbered for numbered in known if names <= set(numbered)), None)
    numbers = numbers or {name: at for at, name in enumerate(sorted(names))}
    return np.array([-1 if label is None else numbers[label] for label in given], dtype=np.int64)


def _names(config: Any) -> dict[str, int]:
    """The names of labels by a model's configuration, with their numbers."""
    back: dict[Any, str] = getattr(config, "id2label", None) or {}
    return {name: int(number) for number, name in back.items()} | (getattr(config, "label2id", None) or {})
