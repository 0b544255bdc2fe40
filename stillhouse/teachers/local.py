"""Local: any Transformers model or torch module as a teacher, frozen and asked the way its task asks a student."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from stillhouse.models.outputs import Batch, Layers, StudentOutput, TeacherOutput
from stillhouse.models.rows import join_said, take_rows
from stillhouse.models.scores import Projection, flat
from stillhouse.signals.kinds import EVERY_SCORE, Kind

__all__ = ["ANSWERS_AND_INSIDE", "Asks", "Local", "ask"]

ANSWERS_AND_INSIDE = EVERY_SCORE | {Kind.HIDDEN, Kind.ATTENTION, Kind.HEADS}
"""What a classifier or a language model tells: a score for every label, and its inside."""

_ELEMENTS = 1 << 23
"""Logits that exist at once where only the likelihood of an answer is wanted."""


class Asks(Protocol):
    """How a model is asked: every task says it."""

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        """What a model says of a batch, with the features caught on the way."""
        ...

    def asked(self, batch: Batch) -> Tensor:
        """Where a batch asks something, True `[rows, positions]`."""
        ...


@final
class Local:
    """A model that answers as a teacher. It is frozen and put into evaluation mode.

    A head over a large vocabulary is not applied: its scores come as a Projection, which objectives project a few
    positions at a time. `dtype` (such as torch.bfloat16) halves its memory; without one it computes as the run does.
    It moves to `device` when first asked, by default to the GPU of this process if there is one.
    """

    def __init__(
        self,
        model: nn.Module,
        asks: Asks,
        tells: frozenset[Kind] = ANSWERS_AND_INSIDE,
        rows: int | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        tokenizer: str | None = None,
    ) -> None:
        """`rows`: how many rows it is asked at once, by default all. `tells` has LIKELIHOOD only where it is wanted."""
        self.model, self.asks, self.tells, self.tokenizer = model, asks, tells, tokenizer
        self._rows, self._dtype = rows, dtype
        self._device = torch.device(device) if device is not None else None
        model.requires_grad_(False).eval()
        if dtype is not None:
            model.to(dtype)

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """What the model says, where the task asks something; scores stay on the model's device."""
        device = self._place()
        batch = _cast(batch.to(device), self._dtype)
        size = self._rows or len(batch.rows)
        starts = range(0, max(1, len(batch.rows)), max(1, size))
        with self._as_it_is(device):
            parts = [ask(self.model, self.asks, take_rows(batch, slice(at, at + size)), layers) for at in starts]
            said = join_said(parts)
            likely = None
            if Kind.LIKELIHOOD in self.tells and said.scores is not None:
                likely = _likelihoods(said.scores, batch.labels)
        return TeacherOutput(said.scores, self.asks.asked(batch), said.features, likely)

    def _place(self) -> torch.device:
        """Move the model to where it answers, once."""
        if self._device is None:
            self._device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else _CPU
        if next(self.model.parameters()).device != self._device:
            self.model.to(self._device)
        return self._device

    def _as_it_is(self, device: torch.device) -> AbstractContextManager[Any]:
        """A teacher with a number format of its own is not cast by the run's."""
        return nullcontext() if self._dtype is None else torch.autocast(device.type, enabled=False)


_CPU = torch.device("cpu")


@torch.no_grad()
def ask(model: nn.Module, asks: Asks, batch: Batch, layers: Layers) -> StudentOutput:
    """What a model says in evaluation mode and without gradients; afterwards it is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules() if module.training]
    model.eval()
    try:
        return asks.output(model, batch, layers)
    finally:
        for module, mode in modes:
            module.training = mode


def _cast(batch: Batch, dtype: torch.dtype | None) -> Batch:
    """Pixels and other real numbers in the model's format."""
    if dtype is None:
        return batch
    inputs = {name: value.to(dtype) if value.is_floating_point() else value for name, value in batch.inputs.items()}
    return Batch(inputs, batch.labels, batch.rows, batch.parts)


@torch.no_grad()
def _likelihoods(scores: Tensor | Projection, labels: Tensor) -> Tensor:
    """The log-prob of each row's labels together, in nats: scores `[rows, positions, ...]` -> `[rows]`."""
    known = flat(scores)
    answers = labels.flatten()
    index = (answers >= 0).nonzero().squeeze(-1)
    width = len(known.weight) if isinstance(known, Projection) else known.shape[-1]
    nats = torch.zeros(len(answers), device=labels.device)
    for part in index.split(max(1, _ELEMENTS // width)):
        some = known[part]
        logits = some.logits() if isinstance(some, Projection) else some.float()
        nats[part] = logits.log_softmax(-1).gather(-1, answers[part].unsqueeze(-1)).squeeze(-1)
    return nats.view_as(labels).sum(1)
