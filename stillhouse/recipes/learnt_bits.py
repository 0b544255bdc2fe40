"""Bits learnt: a healed model taught once more while its numbers are rounded, and the integers that it learnt."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from stillhouse.compression.integer import convert
from stillhouse.compression.qat import Bits, bake, freeze_ranges, observe, prepare
from stillhouse.models.fold import fold_norms
from stillhouse.models.stages import in_stages
from stillhouse.recipes.build import Opened, make_objective, make_task
from stillhouse.recipes.read_rows import Rows, spread
from stillhouse.recipes.training import TrainRecipe
from stillhouse.tasks.image import ImageTask
from stillhouse.teachers.local import Local
from stillhouse.training.events import Listener, Progress
from stillhouse.training.look import loss_of
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.online import Online

__all__ = ["BITS", "Learner", "Learnt", "learn_bits"]

BITS: Mapping[str, Bits] = {
    "int8": Bits(weights=8, activations=32, steps="learnt"),
    "int8-static": Bits(weights=8, activations=8),
    "int8+int4": Bits(weights=8, activations=32, embeddings=4, group=32, steps="learnt"),
    "int4": Bits(weights=4, activations=32, embeddings=4, group=32, steps="learnt"),
}
"""What is rounded while a model learns to have the bits of a precision. Nothing is to be learnt of floats."""
FROZEN = 0.8
"""The share of a run after which ranges of activations stay as they are, so that the rest learns what will be."""
RATE = 1e-4
"""Peak learning rate where the recipe names none: what has learnt is only to be moved a little."""
OBSERVED = 4
"""Batches by which ranges begin, of rows from the whole of the file."""


@dataclass(frozen=True)
class Learner:
    """Who learns, from whom, what."""

    recipe: TrainRecipe
    rows: Rows
    student: Opened
    """A healed model in float32; it is left as it was."""
    teacher: nn.Module
    """The whole model, which reads tokens as the student does."""


@dataclass(frozen=True)
class Learnt:
    """A model as it is exported, and as it can be saved."""

    integers: nn.Module
    floats: nn.Module | None
    """The same values as floats; none of a model whose batch norms were folded, which its kind cannot be without."""
    steps: int
    loss: float
    """The best held-out loss."""


def learn_bits(learner: Learner, precision: str, folder: Path, tell: Listener) -> Learnt:
    """Teach a model its integers by the whole model's answers: an ordinary run with fake quantisers in the model.

    Checkpoints lie in `folder`: a run that was killed goes on.
    """
    recipe, rows = learner.recipe, learner.rows
    varied = make_task(recipe, rows, [learner.student])
    still = varied.still() if isinstance(varied, ImageTask) else varied
    model = copy.deepcopy(learner.student.model).requires_grad_(True)
    some = spread(rows.train, 16 * OBSERVED)
    batches = [still.batch(some[at : at + 16]).inputs for at in range(0, len(some), 16)]
    folded = in_stages(model)
    if folded:
        fold_norms(model, batches[0])
    prepare(model, BITS[precision])
    observe(model, batches)
    size, seed, objective = recipe.source.batch, recipe.seed, make_objective(recipe, "Healing")
    look = Online(still, Local(learner.teacher, still), rows.selection, size, seed)

    def score(student: nn.Module) -> float:
        return -loss_of(student, still, look, objective)

    def advance(done: int, total: int, note: str) -> None:
        if done >= FROZEN * total:
            freeze_ranges(model)
        tell(Progress("bits", done, total, note.partition(",")[0]))

    section = recipe.training
    schedule = Schedule(
        epochs=section.epochs, evaluations=section.evaluations, patience=section.patience, precision="no", seed=seed
    )
    source = Online(varied, Local(learner.teacher, varied), rows.train, size, seed)
    watch = Watch(score=score, tell=advance, checkpoint=folder / ".checkpoint")
    position = train(Lesson(model, varied, source, objective, [(model, section.rate or RATE)]), schedule, watch)
    integers = convert(model.eval())
    floats: Any = None if folded else bake(model)
    return Learnt(integers, floats, position.step, -position.best_score)
