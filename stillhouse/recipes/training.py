"""TrainRecipe: a training run as data, from teacher to trained student, one frozen section per matter."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.recipes.datasets import is_dataset
from stillhouse.recipes.sections import (
    DataSection,
    ObjectiveSection,
    SourceKind,
    SourceSection,
    StudentSection,
    TaskName,
    TeacherSection,
    TrainingSection,
    check_seed,
)
from stillhouse.recipes.toml import fill, read_toml
from stillhouse.signals.keep import Keep

__all__ = ["TrainRecipe", "read_train_recipe"]


@dataclass(frozen=True, kw_only=True)
class TrainRecipe:
    """A whole training run."""

    task: TaskName
    out: Path
    """The folder to make: the student as Transformers loads it, its metrics and its record."""
    data: DataSection
    teacher: TeacherSection = field(default_factory=TeacherSection)
    student: StudentSection = field(default_factory=StudentSection)
    source: SourceSection = field(default_factory=SourceSection)
    objective: tuple[ObjectiveSection, ...]
    training: TrainingSection = field(default_factory=TrainingSection)
    seed: int = 0

    def __post_init__(self) -> None:
        kind = self.source.kind
        check_seed(self.seed)
        if not self.objective:
            raise UsageError('The recipe has no objective; add one: [[objective]] with name = "forward_kl".')
        asks = kind in (SourceKind.ONLINE, SourceKind.ON_POLICY)
        self._check_teacher()
        if asks and not self.teacher.names and self.task is not TaskName.PREFERENCE:
            raise UsageError(f"An {kind} source needs a teacher that answers: set teacher.model.")
        if not (self.student.model or self.teacher.names):
            raise UsageError("The recipe names no student: set student.model, or teacher.model to shrink it.")
        if kind is SourceKind.ON_POLICY and self.task is not TaskName.CHAT:
            raise UsageError(f"An on-policy student writes text, which the task {self.task} does not; take online.")
        if self.task is TaskName.EMBEDDING and kind is not SourceKind.ONLINE and not self.reads_signals:
            raise UsageError(
                "Vectors are learnt from a teacher beside the student, an online source, or from those it gave before, "
                f"an offline source with teacher.model; not from {kind}{' alone' * (kind is SourceKind.OFFLINE)}."
            )
        if self.reads_signals:
            self._check_signals()
        if kind is SourceKind.MUTUAL and not self.student.fresh:
            raise UsageError("Peers that start alike tell each other nothing: set student.fresh = true.")
        if self.task in (TaskName.PREFERENCE, TaskName.RATIONALE):
            self._check_several()

    @property
    def reads_signals(self) -> bool:
        """Whether it learns from what a teacher told beforehand."""
        return self.source.kind is SourceKind.OFFLINE and bool(self.teacher.names or self.teacher.signals)

    @property
    def keep(self) -> Keep:
        """What is kept of a teacher's signals."""
        return Keep.of(self.teacher.keep or ("embedding" if self.task is TaskName.EMBEDDING else "topk:50"))

    def _check_signals(self) -> None:
        """Refuse what cannot be learnt from signals, or cannot be kept."""
        if self.data.crop or self.data.flip:
            raise UsageError("Signals are kept of pictures as they are: leave out crop and flip, or take online.")
        if self.task is TaskName.EMBEDDING and self.keep.form:
            raise UsageError(
                f"Encoders of sentences give no scores, so keep = {self.keep.words[0]} has nothing to keep."
            )
        if self.teacher.models and self.keep.extras:
            raise UsageError(
                f"Several teachers are mixed by their scores, and keep = {', '.join(self.keep.words)} wants the inside "
                "of one: name one teacher.model, or keep scores alone."
            )

    def _check_teacher(self) -> None:
        """Refuse what a teacher behind an API, or one in few bits, cannot do."""
        kind, precision = self.source.kind, self.teacher.precision
        if precision.startswith("int") and not self.task.writes:
            raise UsageError(f"{precision} weights are for teachers that write; for {self.task} take bf16.")
        if not self.teacher.api:
            return
        if self.task not in (TaskName.CHAT, TaskName.CLASSIFICATION, TaskName.RATIONALE):
            raise UsageError(f"A teacher behind an API speaks of chat, classification and rationales, not {self.task}.")
        if kind in (SourceKind.ONLINE, SourceKind.ON_POLICY) and not self.teacher.names:
            raise UsageError(f"A teacher behind an API gives words, for an offline source; {kind} needs teacher.model.")

    def _check_several(self) -> None:
        """Refuse what samples of two texts cannot be learnt from: pairs of answers, answers and their reasons."""
        kept = self.reads_signals
        if kept or self.source.kind not in (SourceKind.ONLINE, SourceKind.OFFLINE):
            raise UsageError(
                f"The task {self.task} learns beside its teacher, an online source, or without any, an offline source "
                f"that names no teacher; not from {self.source.kind}{' signals' if kept else ''}."
            )
        if self.task is TaskName.PREFERENCE and self.teacher.models:
            raise UsageError("Preferences are measured against one reference: set teacher.model, or name no teacher.")


PLACES = ("out", "data.train", "data.selection", "data.test", "teacher.signals")
"""Keys that hold paths, relative to the recipe; models are so where there is such a folder."""


def read_train_recipe(path: Path, changes: Sequence[str] = (), out: Path | None = None) -> TrainRecipe:
    """The recipe in a TOML file, with `changes` (`key=value`, see `change`) and another `out`.

    Paths in the file are relative to the file, others to where the command runs. Raises UsageError naming file and key.
    """
    table = read_toml(path)
    for place in PLACES:
        section, key = _section(table, place)
        if isinstance(section.get(key), str):
            section[key] = _place(path.parent, section[key])
    for place in ("teacher.model", "student.model"):
        section, key = _section(table, place)
        if isinstance(section.get(key), str):
            section[key] = _model(path.parent, section[key])
    section, key = _section(table, "teacher.models")
    if isinstance(section.get(key), list):
        section[key] = [_model(path.parent, name) if isinstance(name, str) else name for name in section[key]]
    for one in changes:
        change(table, one)
    if out is not None:
        table["out"] = str(out)
    return fill(TrainRecipe, table, f"The recipe {path}")


def change(table: dict[str, Any], words: str) -> None:
    """Set one key of a recipe's tables by words such as `training.epochs=2` or `objective.0.weight=0.5`.

    The value is read as TOML, and as a text where it is none.
    """
    place, equals, text = words.partition("=")
    keys = place.strip().split(".")
    if not equals or not all(keys):
        raise UsageError(f"--set {words} is not key=value, such as training.epochs=2.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    inside: Any = table
    for key in keys[:-1]:
        if isinstance(inside, list) and key.isdecimal() and int(key) < len(inside):
            inside = inside[int(key)]
        elif isinstance(inside, dict):
            inside = inside.setdefault(key, {})
        else:
            raise UsageError(f"--set {words}: the recipe has no {key!r} there.")
    if not isinstance(inside, dict):
        raise UsageError(f"--set {words}: what holds {keys[-1]!r} is no table.")
    inside[keys[-1]] = value


def _section(table: dict[str, Any], place: str) -> tuple[dict[str, Any], str]:
    """The table that holds a key by its place, empty where there is none, and the key."""
    *sections, key = place.split(".")
    inside: Any = table
    for section in sections:
        inside = inside.get(section, {})
    return (inside if isinstance(inside, dict) else {}), key


def _place(folder: Path, name: str) -> str:
    """A path relative to a folder, or the name of a dataset's version as it is."""
    return name if is_dataset(Path(name)) and not (folder / name).exists() else str(folder / name)


def _model(folder: Path, name: str) -> str:
    """A model's folder beside the recipe, or the name as it is."""
    return str(folder / name) if (folder / name).is_dir() else name
