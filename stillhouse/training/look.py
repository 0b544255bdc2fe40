"""What a student says of a source's rows while nobody learns, and what an objective costs there."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from stillhouse.models.outputs import Batch, Layers, StudentOutput, TeacherOutput
from stillhouse.objectives.objective import Objective
from stillhouse.tasks.task import Task
from stillhouse.teachers.local import ask
from stillhouse.training.source import Share, Source

__all__ = ["answers", "loss_of"]


def answers(
    student: nn.Module, task: Task, look: Source, layers: Layers
) -> Iterator[tuple[StudentOutput, TeacherOutput, Batch]]:
    """What the student says of every batch of a source that has begun, with what the teacher told of it."""
    device = next(student.parameters()).device
    for number in range(look.steps):
        for batch, told in look.step(0, number, Share()):
            batch, told = batch.to(device), told.to(device)
            yield ask(student, task, batch, layers), told, batch


@torch.no_grad()
def loss_of(student: nn.Module, task: Task, look: Source, objective: Objective) -> float:
    """What an objective costs over a source's rows, each term over what it counts."""
    total, count = torch.zeros(()), torch.zeros(())
    look.begin(student, objective.taps.teacher)
    for said, told, batch in answers(student, task, look, objective.taps.student):
        part = objective(said, told, batch)
        total, count = total + part.total.float().cpu(), count + part.count.cpu()
    return float((total / count.clamp(min=1)).sum())
