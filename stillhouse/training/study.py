"""Study: student, task and objective in one module, from a batch to a loss, so that processes can share the pass."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.rows import detach
from stillhouse.objectives.combine import WeightedSum
from stillhouse.objectives.objective import Objective
from stillhouse.tasks.task import Task
from stillhouse.training.distributed import gathered

__all__ = ["Study"]


@final
class Study(nn.Module):
    """What is learnt with: the student, and what the objective learns beside it.

    Processes that share a step wait for the gradient of every weight. A weight that a model never uses has none, and is
    then looked for at every step; where all are used (`uses_all`) that search would be for nothing.
    """

    def __init__(self, student: nn.Module, task: Task, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self.learns = nn.ModuleList()
        """What the objective learns itself."""
        self._lesson = (task, objective)
        self._telling = False

    def forward(self, batch: Batch, teacher: TeacherOutput, shares: Sequence[float]) -> tuple[Tensor, StudentOutput]:
        """The terms times their `shares`, summed; and what the student said, which is for looking at only."""
        loss, said = self._cost(batch, teacher, shares)
        return _tell_all(loss, self.parameters()) if self._telling else loss, detach(said)

    def _cost(self, batch: Batch, teacher: TeacherOutput, shares: Sequence[float]) -> tuple[Tensor, StudentOutput]:
        task, objective = self._lesson
        said = task.output(self.student, batch, objective.taps.student)
        if isinstance(objective, WeightedSum) and len(objective.terms) == len(shares):
            # terms that share a pass through a head have their factors before it
            weighted = zip(objective.terms, shares, strict=True)
            fair = WeightedSum(tuple((weight * share, term) for (weight, term), share in weighted))
            return fair(said, teacher, batch).total.sum(), said
        totals = objective(said, teacher, batch).total.reshape(-1)  # a term may count several things
        return (totals * totals.new_tensor(shares)).sum(), said

    def fit(self, batch: Batch, teacher: TeacherOutput) -> None:
        """Make what the objective learns itself to the sizes of a first batch."""
        task, objective = self._lesson
        with torch.no_grad():
            said = task.output(self.student, batch, objective.taps.student)
        self.learns.extend(objective.learns(said, teacher))

    def uses_all(self, batch: Batch, teacher: TeacherOutput) -> bool:
        """Whether all weights have a part in the loss in every process; then each also tells those that a batch lacks.

        It draws no random numbers that count.
        """
        devices = [batch.rows.device] if batch.rows.is_cuda else []
        with torch.random.fork_rng(devices):
            self.train()
            terms = self._lesson[1].count(teacher, batch).numel()
            used = _reaches_all(self._cost(batch, teacher, [1.0] * terms)[0], self)
        self._telling = all(gathered([used]))
        return self._telling


def _reaches_all(loss: Tensor, module: nn.Module) -> bool:
    """Whether every weight of a module that learns has a part in a loss, by the graph that made it."""
    wanted = {id(weight) for weight in module.parameters() if weight.requires_grad}
    seen, open_nodes = {loss.grad_fn}, [loss.grad_fn]
    while open_nodes and wanted:
        node = open_nodes.pop()
        wanted.discard(id(getattr(node, "variable", None)))
        for following, _ in node.next_functions if node is not None else ():
            if following not in seen:
                seen.add(following)
                open_nodes.append(following)
    return not wanted


def _tell_all(loss: Tensor, weights: Iterable[Tensor]) -> Tensor:
    """The same loss, of which every weight hears in the backward pass, even one that had no part in it.

    Where a batch leaves a part of a model out (nothing of an objective counts there), its process would else not take
    part in what all wait for. It adds nothing to any gradient.
    """
    return cast("Tensor", _Told.apply(loss, *(weight for weight in weights if weight.requires_grad)))


@final
class _Told(torch.autograd.Function):
    """A loss as it is, that has weights among its inputs and no gradient for them."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, *weights: Tensor) -> Tensor:
        ctx.weights = len(weights)
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (gradients[0], *[None] * ctx.weights)
