"""What objectives of features share: which vectors of two models are compared, and how their widths meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Features
from stillhouse.objectives.geometry import wide

__all__ = [
    "Projector",
    "caught",
    "counted",
    "embedding_of",
    "in_width",
    "layer_map",
    "projector_for",
    "row_vectors",
    "same_size",
    "vectors",
]

Projector = Callable[[Tensor, Tensor], nn.Module]
"""Makes a module from the student's vectors `[n, width]` to the teacher's `[n, its width]`, given those of a batch."""

Feature = TypeVar("Feature")


def layer_map(pairs: Mapping[int, int], objective: str) -> dict[int, int]:
    """A copy of {student's block: teacher's block}; raises UsageError if it is empty."""
    if not pairs:
        raise UsageError(f"{objective} needs a layer map, such as {{0: 0, 2: 5}} (student's block: teacher's block).")
    return dict(pairs)


def caught(found: Mapping[int, Feature], layer: int, whose: str) -> Feature:
    """What was caught in a block, or a UsageError that says what was."""
    if layer not in found:
        there = ", ".join(str(layer) for layer in sorted(found)) or "none"
        raise UsageError(
            f"This objective needs features of the {whose}'s block {layer}, and those of blocks {there} were caught. "
            "Pass `objective.taps` on to whoever runs the models."
        )
    return found[layer]


def embedding_of(features: Features, whose: str) -> Tensor:
    """The vector of each sample, `[rows, width]`."""
    if features.embedding is None:
        raise UsageError(
            f"This objective needs the {whose}'s embedding of each sample, and there is none. Choose a task that makes "
            "embeddings, or give the objective blocks whose states it is to use."
        )
    return features.embedding


def counted(states: Tensor, batch: Batch) -> Tensor:
    """Which vectors count: bools `[rows, tokens]` for states `[rows, tokens, width]`, by the attention mask if any.

    Of `[rows, width]` and of maps `[rows, channels, height, width]`, which count as a whole, `[rows, 1]`.
    """
    places = states.shape[:2] if states.dim() == 3 else (len(states), 1)
    mask = batch.inputs.get("attention_mask")
    if states.dim() != 3 or mask is None:
        return torch.ones(places, dtype=torch.bool, device=states.device)
    if mask.shape != places:
        raise UsageError(
            f"Features of {places[1]} tokens do not fit an attention mask of {mask.shape[1]}: the model adds or merges "
            "tokens, so which of them count is not known."
        )
    return mask.bool()


def vectors(student: Tensor, teacher: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The vectors that are compared: two `[n, width]`, the widths their own; the teacher's without gradient.

    Of states `[rows, tokens, width]` those of the tokens that count; of maps `[rows, channels, height, width]` those
    of all places, the larger map averaged down to the smaller one's size.
    """
    teacher = teacher.detach()
    if student.dim() == 4 and teacher.dim() == 4:
        maps = same_size(student, teacher)
        return maps[0].flatten(2).mT.flatten(0, 1), maps[1].flatten(2).mT.flatten(0, 1)
    if student.dim() != teacher.dim() or student.shape[:-1] != teacher.shape[:-1]:
        raise UsageError(
            f"The student's features {list(student.shape)} and the teacher's {list(teacher.shape)} do not lie over the "
            "same tokens. Choose blocks that do, or an objective of relations, which compares whole samples."
        )
    if student.dim() == 2:
        return student, teacher
    where = counted(teacher, batch)
    return student[where], teacher[where]


def same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps `[rows, channels, height, width]`, the larger averaged down to the smaller one's size."""
    height, width = (min(student.shape[axis], teacher.shape[axis]) for axis in (2, 3))
    return functional.adaptive_avg_pool2d(student, (height, width)), functional.adaptive_avg_pool2d(
        teacher, (height, width)
    )


def row_vectors(states: Tensor, batch: Batch) -> Tensor:
    """One vector for each row, the mean over its tokens that count or over its map's places: `[rows, width]`."""
    if states.dim() == 4:
        return wide(states).mean((2, 3))
    if states.dim() == 2:
        return wide(states)
    where = counted(states, batch).unsqueeze(-1)
    return wide(states).masked_fill(~where, 0).sum(1) / where.sum(1).clamp(min=1)


def projector_for(student: Tensor, teacher: Tensor, make: Projector | None) -> nn.Module | None:
    """The module that brings `[n, width]` to the teacher's width; by default a linear layer, None if widths agree.

    The linear layer has no bias and starts by keeping lengths and angles as far as widths allow.
    """
    student, teacher = wide(student.detach()), wide(teacher.detach())
    if make is not None:
        return make(student, teacher).to(student.device)
    if student.shape[-1] == teacher.shape[-1]:
        return None
    layer = nn.Linear(student.shape[-1], teacher.shape[-1], bias=False, device=student.device, dtype=student.dtype)
    nn.init.orthogonal_(layer.weight)
    return layer


def in_width(student: Tensor, teacher: Tensor, projector: nn.Module | None) -> Tensor:
    """The student's vectors in the teacher's width, at least float32."""
    if projector is not None:
        return wide(projector(wide(student)))
    if student.shape[-1] == teacher.shape[-1]:
        return wide(student)
    raise UsageError(
        f"The student's vectors have width {student.shape[-1]} and the teacher's {teacher.shape[-1]}, and no projector "
        "joins them yet. Call `objective.learns(student, teacher)` with a first batch's outputs and give the modules "
        "it makes to your optimizer."
    )
