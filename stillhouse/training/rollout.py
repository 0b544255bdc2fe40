"""A language model goes on from prompts: in batches, with cached keys and values, by numbers drawn beforehand."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch

__all__ = ["Speech", "ends", "prompts", "speak"]

Draws = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Speech:
    """How a student writes."""

    tokens: int = 64
    """At most so many; an answer cut off there has no stop token."""
    temperature: float = 1.0
    """Of softmax(z / T), from which each token is drawn; 0 takes the likeliest."""
    stops: frozenset[int] | None = None
    """Tokens of which any ends an answer, and belongs to it; by default what ends most of the dataset's answers."""
    rows: int = 256
    """So many prompts are gone on from at once."""

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.rows < 1 or self.temperature < 0:
            raise UsageError(
                f"A student writes 1 token or more of 1 prompt or more at a temperature of 0 or more: {self}."
            )


def prompts(batch: Batch) -> list[list[int]]:
    """What comes before the last answer of each row of a language model's batch, whose answers are its labels."""
    found: list[list[int]] = []
    for ids, labels in zip(batch.inputs["input_ids"], batch.labels, strict=True):
        counted = (labels >= 0).nonzero().squeeze(-1)
        if not len(counted):
            raise UsageError("A row has no answer, so it is not known where the student should begin to write.")
        ordinals = torch.arange(len(counted), device=counted.device)
        first = int(counted[(counted - ordinals == counted[-1] - ordinals[-1]).nonzero()[0]])
        found.append(ids[: first + 1].tolist())
    return found


def ends(batch: Batch) -> frozenset[int]:
    """The tokens that end half of a batch's answers or more, which no word does: at most two."""
    lengths = torch.where(batch.labels >= 0, torch.arange(1, batch.labels.shape[1] + 1), 0).amax(1)
    last = batch.labels[torch.arange(len(lengths)), lengths - 1][lengths > 0]
    tokens, counts = last.unique(return_counts=True)
    return frozenset(tokens[2 * counts >= len(last)].tolist())


def speak(
    model: nn.Module, before: Sequence[Sequence[int]], draws: Draws, stops: frozenset[int], speech: Speech
) -> list[list[int]]:
    """What a causal language model writes after each prompt: its tokens, the stop token included.

    `draws` `[prompts, tokens]` are numbers in [0, 1), one for each token: token i is the first at which the summed
    probability exceeds draw i. So an answer depends on its prompt and its draws, not on its neighbours (but for
    rounding). The model runs in evaluation mode, without gradients, and is then in the mode it was in.
    """
    if not all(before):
        raise UsageError("A language model cannot go on from no tokens at all; begin every prompt with one.")
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        order = sorted(range(len(before)), key=lambda at: len(before[at]))  # before of like length go together
        answers: list[list[int]] = [[] for _ in before]
        for start in range(0, len(order), speech.rows):
            some = order[start : start + speech.rows]
            talk = _Talk(model, [before[at] for at in some], draws[some], speech.temperature)
            for at, answer in zip(some, talk.run(stops, speech.tokens), strict=True):
                answers[at] = answer
        return answers
    finally:
        for module in training:
            module.training = True


@final
class _Talk:
    """Some prompts, padded on the left, and what has been written after them."""

    def __init__(self, model: nn.Module, before: Sequence[Sequence[int]], draws: Draws, temperature: float) -> None:
        self._model, self._heat = model, temperature
        device = next(model.parameters()).device
        longest = max(map(len, before))
        ids = np.zeros((len(before), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for at, prompt in enumerate(before):
            ids[at, longest - len(prompt) :] = prompt
            mask[at, longest - len(prompt) :] = 1
        self._next, self._mask = torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
        self._draws = torch.from_numpy(draws).to(device)
        self._takes = _parameters_of(model)
        self._cache: Any = None

    @torch.no_grad()
    def run(self, stops: frozenset[int], tokens: int) -> list[list[int]]:
        """Write until every answer has ended; those that have are left out of the batch once they are half of it."""
        answers: list[list[int]] = [[] for _ in self._next]
        alive = list(range(len(answers)))  # which answer each row of the batch is
        for number in range(tokens):
            said = self._pick(self._logits(), self._draws[:, number]).tolist()
            for row, token in zip(alive, said, strict=True):
                if not (answers[row] and answers[row][-1] in stops):
                    answers[row].append(token)
            going = [at for at, row in enumerate(alive) if answers[row][-1] not in stops]
            if not going:
                break
            kept = going if 2 * len(going) <= len(alive) else list(range(len(alive)))
            self._append(said, kept)
            alive = [alive[at] for at in kept]
        return answers

    def _logits(self) -> Tensor:
        """Of the next token: `[rows, vocabulary]`."""
        inputs = {"input_ids": self._next, "attention_mask": self._mask, "use_cache": True}
        places = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -self._next.shape[1] :]
        optional = {"position_ids": places, "logits_to_keep": 1, "past_key_values": self._cache}
        said = self._model(**inputs, **{name: value for name, value in optional.items() if name in self._takes})
        self._cache = said.past_key_values
        if self._cache is None:
            raise UsageError(
                f"{type(self._model).__name__} gives no cache of keys and values, without which it cannot write."
            )
        return said.logits[:, -1]

    def _pick(self, logits: Tensor, draws: Tensor) -> Tensor:
        """The next tokens `[rows]`."""
        if self._heat == 0:
            return logits.argmax(-1)
        summed = (logits.double() / self._heat).softmax(-1).cumsum(-1)
        aims = (draws * summed[:, -1]).unsqueeze(-1)
        return torch.searchsorted(summed, aims, right=True).squeeze(-1).clamp(max=logits.shape[-1] - 1)

    def _append(self, said: Sequence[int], kept: Sequence[int]) -> None:
        """Go on with the rows that are kept."""
        self._next = torch.tensor([[said[at]] for at in kept], device=self._next.device)
        if len(kept) < len(self._mask):
            rows = torch.tensor(kept, device=self._mask.device)
            self._mask, self._draws = self._mask[rows], self._draws[rows]
            self._cache.batch_select_indices(rows)
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)


def _parameters_of(model: nn.Module) -> frozenset[str]:
    """What a model's forward pass takes; of an adapted one (PEFT) that of the model inside."""
    inner = getattr(model, "get_base_model", None)
    asked = cast("nn.Module", inner()) if callable(inner) else model
    return frozenset(inspect.signature(asked.forward).parameters)
