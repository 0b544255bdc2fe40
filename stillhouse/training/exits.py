"""Exits: answers at earlier blocks of a student, beside the last one, from one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, final

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.layers import final_norm
from stillhouse.models.outputs import Batch, Layers, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection
from stillhouse.tasks.classification import to_positions
from stillhouse.tasks.task import Task
from stillhouse.teachers.local import ask

__all__ = ["AtExits", "Exits", "PooledHead"]


@final
class PooledHead(nn.Module):
    """Answers from the mean of hidden states over the tokens of a text, as classifiers do."""

    def __init__(self, width: int, sizes: Sequence[int]) -> None:
        """`width` of the hidden states; `sizes` the labels of each field."""
        super().__init__()
        self.sizes = tuple(sizes)
        self.head = nn.Linear(width, sum(sizes))

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """`[rows, tokens, width]` and a mask `[rows, tokens]` -> logits `[rows, fields, labels]`."""
        there = states.new_ones(states.shape[:2]) if mask is None else mask.to(states.dtype)
        mean = (states * there.unsqueeze(-1)).sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        return to_positions(self.head(mean), self.sizes)


@final
class Exits(nn.Module):
    """A student that answers after some earlier blocks too.

    `heads` gives each of those blocks the module that makes an answer of its hidden states and the attention mask,
    such as `PooledHead`. Without heads (`Exits.shared`) a language model's exits share its last norm and its head.
    """

    def __init__(self, student: nn.Module, heads: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.student, self.layers = student, tuple(sorted(heads))
        self.heads = nn.ModuleDict({str(layer): heads[layer] for layer in self.layers})

    @classmethod
    def shared(cls, student: nn.Module, layers: Sequence[int]) -> Exits:
        """Exits of a language model, after its norm and through its own head."""
        found = cls(student, {})
        found.layers = tuple(sorted(layers))
        return found

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """Those of the student; new heads learn at 1e-3."""
        own = getattr(self.student, "learning_rates", None)
        rates = cast("list[tuple[nn.Module, float]]", own()) if callable(own) else [(self.student, 3e-4)]
        return [*rates, (self.heads, 1e-3)]

    def answer(self, said: StudentOutput, mask: Tensor | None) -> Tensor | Projection:
        """The answers of the exits in order and then the last one, below each other: `[(exits + 1) * rows, ...]`."""
        if said.scores is None:
            raise UsageError("Exits give answers early; this student gives none, only features.")
        hidden = [said.features.hidden[layer] for layer in self.layers]
        if self.heads:
            early = [self.heads[str(layer)](states, mask) for layer, states in zip(self.layers, hidden, strict=True)]
            return torch.cat([*early, said.logits])
        if not isinstance(said.scores, Projection):
            raise UsageError("Only language models can share their head among exits; give each exit a head of its own.")
        norm = final_norm(self.student)
        states = hidden if norm is None else [norm(one) for one in hidden]
        return replace(said.scores, states=torch.cat([*states, said.scores.states]))


@final
@dataclass(frozen=True)
class AtExits:
    """A task asked of a student with exits: each row stands once for every exit and once for the last answer."""

    task: Task
    exits: int
    """How many there are beside the last answer."""

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        batch, times = self.task.batch(rows, epoch), self.exits + 1
        return replace(batch, labels=batch.labels.repeat(times, 1), rows=batch.rows.repeat(times))

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        exits = _exits(student)
        said = self.task.output(exits.student, self._once(batch), layers | Layers(frozenset(exits.layers)))
        return StudentOutput(exits.answer(said, batch.inputs.get("attention_mask")), said.features)

    def asked(self, batch: Batch) -> Tensor:
        return self.task.asked(self._once(batch)).repeat(self.exits + 1, 1)

    def length(self, row: int) -> int:
        return self.task.length(row)

    def told_by_last(self, student: nn.Module, batch: Batch) -> TeacherOutput:
        """What the last answer tells the exits; itself it is told nothing."""
        once = self._once(batch).to(next(student.parameters()).device)
        scores = ask(_exits(student).student, self.task, once, Layers()).scores
        if isinstance(scores, Projection):
            scores = replace(scores, states=torch.cat([scores.states] * (self.exits + 1)))
        elif scores is not None:
            scores = torch.cat([scores] * (self.exits + 1))
        asked = self.task.asked(once)
        return TeacherOutput(scores, torch.cat([asked] * self.exits + [torch.zeros_like(asked)]))

    def _once(self, batch: Batch) -> Batch:
        """The batch as the task made it."""
        rows = len(batch.rows) // (self.exits + 1)
        return replace(batch, labels=batch.labels[:rows], rows=batch.rows[:rows])


def _exits(student: nn.Module) -> Exits:
    if not isinstance(student, Exits):
        raise UsageError(
            f"AtExits asks a student with exits; this one is a {type(student).__name__}. Wrap it: Exits(...)."
        )
    return student
