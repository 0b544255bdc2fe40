"""Source: students that learn together, each told what the others say; teacher and student in one run is a case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Layers, StudentOutput, TeacherOutput
from stillhouse.models.scores import Mixture
from stillhouse.signals.kinds import EVERY_SCORE, Kind
from stillhouse.tasks.task import Task
from stillhouse.teachers.local import ask
from stillhouse.training.batch import EpochBatches
from stillhouse.training.source import Share

__all__ = ["AmongPeers", "Mutual", "Peers"]

_PEER = "peer"
"""The input that says who is to answer a batch."""


@final
class Peers(nn.Module):
    """Several students in one module, with weights of their own; they may differ in everything but their labels."""

    def __init__(self, students: Sequence[nn.Module]) -> None:
        super().__init__()
        if len(students) < 2:
            raise UsageError(f"Learning from each other takes 2 students or more, not {len(students)}.")
        self.students = nn.ModuleList(students)

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """Each student's own."""
        rates: list[tuple[nn.Module, float]] = []
        for student in self.students:
            own = getattr(student, "learning_rates", None)
            rates += cast("list[tuple[nn.Module, float]]", own()) if callable(own) else [(student, 3e-4)]
        return rates


@final
@dataclass(frozen=True)
class AmongPeers:
    """A task asked of one of several students: the one that the batch names, else the first."""

    task: Task

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        return self.task.batch(rows, epoch)

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        inputs = dict(batch.inputs)
        peer = int(inputs.pop(_PEER, 0))
        return self.task.output(_peers(student).students[peer], replace(batch, inputs=inputs), layers)

    def asked(self, batch: Batch) -> Tensor:
        return self.task.asked(batch)

    def length(self, row: int) -> int:
        return self.task.length(row)


@final
class Mutual:
    """Every batch is put to each peer in turn, told the mean of what those it listens to say, by probability.

    By default each listens to all others (Zhang et al. 2017, arxiv.org/abs/1706.00384). `listens` says otherwise: of
    peers 0 and 1, `((), (0,))` trains a teacher on words while a student learns from it. Who listens to nobody is told
    nothing. A term of the objective is averaged over the positions it counts of all peers together.
    """

    def __init__(
        self,
        task: AmongPeers,
        rows: Sequence[int],
        size: int,
        seed: int,
        listens: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self._task, self._listens = task, listens
        self._order = EpochBatches(rows, task.length, size, seed)
        self._peers: Peers | None = None
        self._whom: Sequence[Sequence[int]] = ()

    @property
    def tells(self) -> frozenset[Kind]:
        return EVERY_SCORE | {Kind.WORDS}

    @property
    def steps(self) -> int:
        return self._order.steps

    @property
    def follows(self) -> bool:
        return True

    def begin(self, student: nn.Module, layers: Layers) -> None:
        self._peers = _peers(student)
        count = len(self._peers.students)
        self._whom = self._listens or [[other for other in range(count) if other != peer] for peer in range(count)]
        wrong = [other for whom in self._whom for other in whom if not 0 <= other < count]
        if wrong or len(self._whom) != count:
            raise UsageError(f"`listens` names for each of {count} peers others below {count}; it is {self._listens}.")
        if layers:
            raise UsageError("Peers tell each other their answers; objectives of features need a single teacher.")

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        if self._peers is None:
            raise UsageError("This source has to be told who the peers are: call its begin(student, layers).")
        for rows in share.of(self._order.rows(epoch, number)):
            batch = self._task.batch(rows, epoch).to(next(self._peers.parameters()).device)
            said = self._said(self._peers, batch)
            for peer, whom in enumerate(self._whom):
                yield _for_peer(batch, peer), self._told(batch, said, whom or (peer,), bool(whom))

    def stepped(self, student: nn.Module) -> None:
        """The teachers are the students themselves."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Everything follows from the arguments and the peers."""

    def _said(self, peers: Peers, batch: Batch) -> Mapping[int, StudentOutput]:
        """What is heard in this batch, by peer; who listens to nobody hears its own answer and is not told it."""
        heard = {other for peer, whom in enumerate(self._whom) for other in (whom or (peer,))}
        return {peer: ask(peers, self._task, _for_peer(batch, peer), Layers()) for peer in sorted(heard)}

    def _told(self, batch: Batch, said: Mapping[int, StudentOutput], whom: Sequence[int], tells: bool) -> TeacherOutput:
        parts = [scores for other in whom if (scores := said[other].scores) is not None]
        if len(parts) < len(whom):
            raise UsageError("Peers learn from each other's answers; one of these gives none, only features.")
        asked = self._task.asked(batch)
        told = asked if tells else torch.zeros_like(asked)
        if len(parts) == 1:
            return TeacherOutput(parts[0], told)
        shares = torch.full((*asked.shape, len(parts)), 1 / len(parts), device=asked.device)
        mixture = Mixture(tuple(parts), shares)
        dense = all(isinstance(part, Tensor) for part in parts)
        return TeacherOutput(mixture.logits() if dense else mixture, told)


def _for_peer(batch: Batch, peer: int) -> Batch:
    return replace(batch, inputs={**batch.inputs, _PEER: torch.tensor(peer)})


def _peers(student: nn.Module) -> Peers:
    if not isinstance(student, Peers):
        raise UsageError(f"Mutual learning takes peers; this student is a {type(student).__name__}. Use Peers([...]).")
    return student
