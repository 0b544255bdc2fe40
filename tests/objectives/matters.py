"""Made-up questions, with what a student and a teacher say about them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from stillhouse.models.outputs import ABSENT, Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection, Sampled, Scores, TopK
from stillhouse.objectives.objective import Objective
from stillhouse.signals.kinds import Kind

ROWS, POSITIONS, LABELS = 6, 2, 4
FORMS = ("projection", "dense", "likeliest", "draws")
HEATS = (2.0, 4.0)
Given = tuple[StudentOutput, TeacherOutput, Batch]


def exact(value: float | list[float]):
    """A reference value, to be met to six places."""
    return pytest.approx(value, abs=1e-6, rel=0)


def double(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def batch(labels: Tensor) -> Batch:
    """A batch with these labels `[rows, positions]`; its ids matter to no objective."""
    ids = torch.zeros(len(labels), 1, dtype=torch.long)
    return Batch({"input_ids": ids, "attention_mask": ids}, labels, torch.arange(len(labels)))


def matter(seed: int = 0, scale: float = 1.0) -> Given:
    """Random logits on both sides; some positions are untold, and the second has a label less."""
    random = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(ROWS, POSITIONS, LABELS, generator=random) * scale for _ in range(2))
    student[:, 1, -1] = teacher[:, 1, -1] = ABSENT
    told = torch.tensor([[True, False]] + [[True, True]] * (ROWS - 2) + [[False, True]])
    labels = teacher.argmax(-1).masked_fill(~told, -1)
    return StudentOutput(student.requires_grad_()), TeacherOutput(teacher, told), batch(labels)


def rows_of(rows: list[int], student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> Given:
    """The same matter on some rows, or in another order."""
    return (
        StudentOutput(student.logits[rows]),
        TeacherOutput(teacher.scores[rows], teacher.told[rows]),
        replace(batch, labels=batch.labels[rows], rows=batch.rows[rows]),
    )


def one(student: list[float], teacher: Scores | list[float], label: int = 0) -> Given:
    """One row with one position, in float64; a teacher's scores of another form are `[1, 1, ...]`."""
    return (
        StudentOutput(double([[student]]).requires_grad_()),
        TeacherOutput(double([[teacher]]) if isinstance(teacher, list) else teacher),
        batch(torch.tensor([[label]])),
    )


def language(
    form: str = "projection", labels: tuple[int, int] = (2000, 2000), dtype: torch.dtype = torch.float64
) -> Given:
    """Two language models whose heads are not applied yet, over several chunks of positions and several slices each.

    The student's states, weight and bias are leaves; both cap and scale their logits. A third of the positions is
    untold, others are unanswered.
    """
    random = torch.Generator().manual_seed(0)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64).to(dtype)

    student = Projection(some(3, 150, 8), some(labels[0], 8), some(labels[0]), 0.7, 9.0)
    teacher = Projection(some(3, 150, 12), some(labels[1], 12), some(labels[1]), 0.4, 12.0)
    for leaf in leaves(student):
        leaf.requires_grad_()
    told = torch.rand(3, 150, generator=random) > 1 / 3
    words = torch.randint(min(labels), (3, 150), generator=random)
    words = words.masked_fill(torch.rand(3, 150, generator=random) > 0.8, -1)
    return StudentOutput(student), TeacherOutput(in_form(teacher, form), told), batch(words)


def leaves(head: Projection) -> list[Tensor]:
    return [head.states, head.weight, head.bias]


def in_form(teacher: Projection, form: str) -> Scores:
    """What a teacher tells, as another form tells it."""
    if form == "projection":
        return teacher
    logits = teacher.logits()
    if form == "dense":
        return logits
    probabilities = logits.double().softmax(-1)
    if form == "likeliest":
        shifts = {heat: logits.logsumexp(-1) / heat - (logits / heat).logsumexp(-1) for heat in HEATS}
        kept = logits.log_softmax(-1).topk(8)
        return TopK(kept.indices, kept.values.index_fill(-1, torch.tensor([7]), -torch.inf), shifts)
    random = torch.Generator().manual_seed(1)
    ids = torch.multinomial(probabilities.flatten(0, -2), 6, generator=random).unflatten(0, logits.shape[:-1])
    return Sampled(ids, torch.arange(6).expand_as(ids))


def forms(objective: Objective) -> tuple[str, ...]:
    """The forms of scores that tell an objective what it needs."""
    if Kind.LOGITS in objective.needs:
        return FORMS[:2]
    soft = Kind.TOP in objective.needs or "temperature=2" in repr(objective)  # draws are taken at temperature 1
    return FORMS[:3] if soft else FORMS
