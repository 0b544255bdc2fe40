"""Made-up questions, with what a student and a teacher say about them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from stillhouse.models.outputs import ABSENT, Batch, StudentOutput, TeacherOutput

ROWS, POSITIONS, LABELS = 6, 2, 4


def batch(labels: Tensor) -> Batch:
    """A batch with these labels `[rows, positions]`; its ids matter to no objective."""
    ids = torch.zeros(len(labels), 1, dtype=torch.long)
    return Batch(ids, ids, labels, torch.arange(len(labels)))


def matter(seed: int = 0, scale: float = 1.0) -> tuple[StudentOutput, TeacherOutput, Batch]:
    """Random logits on both sides; some positions are untold, and the second has a label less."""
    random = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(ROWS, POSITIONS, LABELS, generator=random) * scale for _ in range(2))
    student[:, 1, -1] = teacher[:, 1, -1] = ABSENT
    told = torch.tensor([[True, False]] + [[True, True]] * (ROWS - 2) + [[False, True]])
    labels = teacher.argmax(-1).masked_fill(~told, -1)
    return StudentOutput(student.requires_grad_()), TeacherOutput(teacher, told), batch(labels)


def rows_of(
    rows: list[int], student: StudentOutput, teacher: TeacherOutput, batch: Batch
) -> tuple[StudentOutput, TeacherOutput, Batch]:
    """The same matter on some rows, or in another order."""
    return (
        StudentOutput(student.logits[rows]),
        TeacherOutput(teacher.logits[rows], teacher.told[rows]),
        replace(batch, labels=batch.labels[rows], rows=batch.rows[rows]),
    )


def one(student: list[float], teacher: list[float], label: int = 0) -> tuple[StudentOutput, TeacherOutput, Batch]:
    """One row with one position."""
    return (
        StudentOutput(torch.tensor([[student]], requires_grad=True)),
        TeacherOutput(torch.tensor([[teacher]]), torch.ones(1, 1, dtype=torch.bool)),
        batch(torch.tensor([[label]])),
    )
