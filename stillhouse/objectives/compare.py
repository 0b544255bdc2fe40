"""An objective in anybody's own training loop: logits in, a sum and a count out."""

from __future__ import annotations

import torch
from torch import Tensor

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection, Scores, everywhere
from stillhouse.objectives.objective import LossSum, Objective

__all__ = ["compare"]


def compare(
    objective: Objective,
    student: Tensor | Projection,
    teacher: Scores | None = None,
    labels: Tensor | None = None,
    where: Tensor | None = None,
) -> LossSum:
    """What an objective costs: `cost = compare(...)`, then `(cost.total / cost.count).sum().backward()`.

    `student` and `teacher` are logits `[rows, labels]`, or `[rows, positions, labels]` as of language models (the
    teacher also its likeliest few, or draws). `labels` `[rows]` or `[rows, positions]`, below 0 where unknown.
    `where`, like `labels`, says which of the teacher's answers count; by default all. Add totals and counts of
    micro-batches before dividing. Objectives of features need more than logits: build their outputs yourself.
    """
    said = student.unsqueeze(1) if isinstance(student, Tensor) and student.dim() == 2 else student
    told = teacher.unsqueeze(1) if isinstance(teacher, Tensor) and teacher.dim() == 2 else teacher
    there = everywhere(said)
    places = there.shape
    answers = torch.full_like(there, -1, dtype=torch.long) if labels is None else labels
    answers = answers.unsqueeze(-1) if answers.dim() == 1 else answers
    counts = None if where is None else where.bool().reshape(places)
    if answers.shape != places or (told is not None and everywhere(told).shape != places):
        theirs = "no teacher" if told is None else f"a teacher's answers at {list(everywhere(told).shape)}"
        raise UsageError(
            f"The student answers at {list(places)} (rows, positions); there are labels {list(answers.shape)} and "
            f"{theirs}. They must be of the same positions."
        )
    batch = Batch({}, answers, torch.arange(places[0], device=there.device))
    return objective(StudentOutput(said), TeacherOutput(told, counts), batch)
