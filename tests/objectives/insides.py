"""Made-up insides of a student and a teacher, over the same padded tokens and images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from stillhouse.models.outputs import Batch, Features, Heads, StudentOutput, TeacherOutput

ROWS, TOKENS = 6, 5
LENGTHS = (5, 3, 4, 5, 2, 5)
MAPS = 7
"""The block whose states are maps of an image."""
Given = tuple[StudentOutput, TeacherOutput, Batch]


def mask(rows: int = ROWS) -> Tensor:
    """Which tokens count, 1 or 0 `[rows, tokens]`."""
    return (torch.arange(TOKENS) < torch.tensor(LENGTHS[:rows])[:, None]).long()


def features(seed: int, width: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Features:
    """Random features of every kind; the attention of padding is none."""
    random = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64).to(dtype) * scale

    looks = some(ROWS, width // 4, TOKENS, TOKENS).masked_fill(mask()[:, None, None] == 0, float("-inf")).softmax(-1)
    heads = Heads(*(some(ROWS, width // 4, TOKENS, 4) for _ in range(3)))
    size = 32 // width
    hidden = {0: some(ROWS, TOKENS, width), 1: some(ROWS, TOKENS, width), MAPS: some(ROWS, width, size, size)}
    return Features(hidden, {0: looks}, {0: heads}, some(ROWS, width))


def insides(seed: int = 0, scale: float = 1.0, widths: tuple[int, int] = (8, 16), dtype=torch.float32) -> Given:
    """A student whose features all are leaves of a graph, a teacher, and the batch they speak of."""
    mine, its = (features(2 * seed + side, width, scale, dtype) for side, width in enumerate(widths))
    ids = torch.zeros(ROWS, TOKENS, dtype=torch.long)
    batch = Batch({"input_ids": ids, "attention_mask": mask()}, ids - 1, torch.arange(ROWS))
    return StudentOutput(features=leaves_of(mine)), TeacherOutput(features=its), batch


def agreeing(scale: float = 1.0) -> Given:
    """A student whose insides are its teacher's, the same in both blocks."""
    _, teacher, batch = insides(scale=scale)
    same = dict(teacher.features.hidden) | {1: teacher.features.hidden[0]}
    teacher = TeacherOutput(features=replace(teacher.features, hidden=same))
    return StudentOutput(features=leaves_of(teacher.features)), teacher, batch


def changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same tree of dataclasses and mappings with its tensors changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: changed(part, change) for key, part in value.items()}
    if is_dataclass(value):
        return replace(value, **{part.name: changed(getattr(value, part.name), change) for part in fields(value)})
    return value


def leaves_of(value: Any) -> Any:
    return changed(value, lambda tensor: tensor.detach().clone().requires_grad_())


def tensors(value: Any) -> list[Tensor]:
    """The tensors of a tree."""
    found: list[Tensor] = []
    changed(value, lambda tensor: (found.append(tensor), tensor)[1])
    return found


def rows_of(rows: list[int], given: Given) -> Given:
    """The same on some rows, or in another order."""
    return tuple(changed(part, lambda tensor: tensor[rows]) for part in given)


def spoilt(given: Given, garbage: float) -> Given:
    """The same with garbage wherever the mask is 0, on both sides."""
    student, teacher, batch = given
    there = batch.inputs["attention_mask"].bool()

    def spoil(side: Features) -> Features:
        off = ~there
        return Features(
            {
                at: part.masked_fill(off[..., None], garbage) if part.dim() == 3 else part
                for at, part in side.hidden.items()
            },
            {
                at: part.masked_fill(off[:, None, :, None], garbage).masked_fill(off[:, None, None], garbage)
                for at, part in side.attention.items()
            },
            {
                at: changed(part, lambda one: one.masked_fill(off[:, None, :, None], garbage))
                for at, part in side.heads.items()
            },
            side.embedding,
        )

    return (
        StudentOutput(features=leaves_of(spoil(student.features))),
        TeacherOutput(features=spoil(teacher.features)),
        batch,
    )


def gradients(objective: Any, given: Given) -> list[Tensor]:
    """The slopes of what an objective costs along the student's features; zero where it does not look."""
    leaves = tensors(given[0])
    total = objective(*given).total.sum()
    return list(torch.autograd.grad(total, leaves, materialize_grads=True))
