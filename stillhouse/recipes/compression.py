"""CompressRecipe: everything that decides what a compression does, frozen, typed and checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from stillhouse.compression.search import Goal
from stillhouse.errors import UsageError
from stillhouse.evaluation.answers import Terms
from stillhouse.export.pooling import open_stack
from stillhouse.export.subject import Kind
from stillhouse.models.hub import fetch
from stillhouse.models.load import locate
from stillhouse.recipes.levers import LEVERS
from stillhouse.recipes.open_student import kind_of
from stillhouse.recipes.sections import DataSection, TaskName, TrainingSection, check_least, check_seed, check_word
from stillhouse.tasks.embedding import Pooling

__all__ = ["CompressRecipe", "Heal", "pooled_as", "task_of"]

POOLINGS = {"mean": Pooling.MEAN, "cls": Pooling.CLS, "lasttoken": Pooling.LAST}
"""What Sentence-Transformers calls the ways of pooling that a smaller form can learn."""


class Heal(StrEnum):
    """What of a form that was made smaller learns from the whole model."""

    NOTHING = "nothing"
    WEIGHTS = "weights"
    BITS = "bits"
    """Its weights, and then, of the form that is chosen, its integers: quantisation-aware training."""


@dataclass(frozen=True, kw_only=True)
class CompressRecipe:
    """A model, what it is to become, and the data on which it is judged and healed."""

    model: str
    """A Transformers folder or hub id."""
    task: TaskName
    out: Path
    """The folder to make."""
    data: DataSection
    goal: Goal
    levers: tuple[str, ...] = ()
    """The ways that may be taken; by default all that the model has."""
    trials: int = 4
    """Combinations that are made, healed and measured at most."""
    healing: TrainingSection = field(default_factory=TrainingSection)
    """How what was made smaller learns from the whole model."""
    heal: Heal = Heal.WEIGHTS
    """What of a smaller form learns from the whole model."""
    batch: int = 32
    """Rows a step of it."""
    terms: Terms = field(default_factory=Terms)
    """What the certificate is to promise."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(1, {"trials": self.trials, "batch": self.batch})
        check_seed(self.seed)
        for lever in self.levers:
            check_word("lever", lever, LEVERS)
        if self.task in (TaskName.PREFERENCE, TaskName.RATIONALE):
            raise UsageError(f"Compression is judged on classification, chat, embedding and image, not {self.task}.")


def task_of(model: str) -> TaskName:
    """What a model does, by the class that its configuration names."""
    kinds = {
        Kind.CLASSIFIER: TaskName.CLASSIFICATION,
        Kind.IMAGE: TaskName.IMAGE,
        Kind.EMBEDDING: TaskName.EMBEDDING,
        Kind.LANGUAGE_MODEL: TaskName.CHAT,
    }
    if (Path(model) / "stillhouse.json").is_file():
        raise UsageError(
            f"{model} is a bundle, which was made small already. Give the Transformers folder of a model (of one that "
            "`stillhouse compress` made, its folder `model`), or distil again with another --student."
        )
    return kinds[kind_of(model)]


def pooled_as(model: str, data: DataSection) -> DataSection:
    """`data` read into vectors as a sentence encoder itself makes them; refuses what a smaller form cannot keep."""
    stack = open_stack(fetch(locate(model)))
    named = " + ".join(stack.modes)
    if len(stack.dense) or named not in POOLINGS:
        dense = " and goes through dense layers" if len(stack.dense) else ""
        raise UsageError(
            f"{model} pools by {named}{dense}, which a smaller form of it cannot keep. "
            f"Give one that pools by {', '.join(POOLINGS)} with nothing but length 1 after it."
        )
    return replace(data, pooling=POOLINGS[named].value, normalised=stack.normalised)
