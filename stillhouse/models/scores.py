"""Scores over labels or a vocabulary in the forms they travel: dense, not yet projected, mixed, likeliest few, sampled.

Each form has one entry per position; `form[part]` picks positions once they lie in one row (`flat`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import overload

import torch
from torch import Tensor

__all__ = ["Mixture", "Projection", "Sampled", "Scores", "TopK", "everywhere", "flat", "labels_of"]


@dataclass(frozen=True)
class Projection:
    """Logits not computed yet: `states` `[..., hidden]` and the head that projects them.

    logits = cap(scale * (states @ weight^T + bias)), where cap(z) = softcap * tanh(z / softcap) if there is one.
    A head of 150,000 rows makes logits that dwarf the model; objectives project few positions at a time.
    """

    states: Tensor
    weight: Tensor
    """`[labels, hidden]`."""
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    def __getitem__(self, part: slice | Tensor) -> Projection:
        return Projection(self.states[part], self.weight, self.bias, self.scale, self.softcap)

    def first(self, labels: int) -> Projection:
        """The head without its rows from number `labels` on, which pad the vocabulary."""
        if labels == len(self.weight):
            return self
        bias = None if self.bias is None else self.bias[:labels]
        return Projection(self.states, self.weight[:labels], bias, self.scale, self.softcap)

    def finish(self, products: Tensor) -> Tensor:
        """From states @ weight^T to logits: bias, scale and soft cap."""
        logits = products if self.bias is None else products + self.bias.to(products.dtype)
        logits = logits if self.scale == 1.0 else logits * self.scale
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)

    def logits(self) -> Tensor:
        """The logits, computed in float32 or better: `[..., labels]`."""
        wide = torch.float64 if self.states.dtype == torch.float64 else torch.float32
        with torch.autocast(self.states.device.type, enabled=False):
            return self.finish(self.states.to(wide) @ self.weight.to(wide).T)


@dataclass(frozen=True)
class Mixture:
    """Several scores as one: p = sum_i w_i softmax(z_i), over the labels that all of them have.

    `weights` `[..., parts]` are 0 or more and add up to 1, or are all 0 where nobody told anything. Of parts that are
    not projected yet, no more is projected than is asked for, and none where their weight is 0.
    """

    parts: tuple[Tensor | Projection, ...]
    weights: Tensor

    def __getitem__(self, part: slice | Tensor) -> Mixture:
        return Mixture(tuple(scores[part] for scores in self.parts), self.weights[part])

    def first(self, labels: int) -> Mixture:
        """The parts without their labels from number `labels` on, which pad the vocabulary."""
        cut = [part.first(labels) if isinstance(part, Projection) else part[..., :labels] for part in self.parts]
        return Mixture(tuple(cut), self.weights)

    def logits(self) -> Tensor:
        """log p, which are logits too: `[..., labels]`; minus infinity where all weights are 0."""
        common = self.first(min(_width(part) for part in self.parts))
        found: Tensor | None = None
        for at, part in enumerate(common.parts):
            share = self.weights[..., at]
            where = share > 0
            some = part[where]
            raw = some.logits() if isinstance(some, Projection) else some
            logs = (raw if raw.dtype == torch.float64 else raw.float()).log_softmax(-1)
            logs = logs + share[where].to(logs.dtype).log().unsqueeze(-1)
            if found is None:
                found = logs.new_full((*share.shape, logs.shape[-1]), -torch.inf)
            found[where] = torch.logaddexp(found[where], logs)
        assert found is not None
        return found


@dataclass(frozen=True)
class TopK:
    """The likeliest labels of each position: `ids` `[..., k]` and `log_probs` `[..., k]` over the whole vocabulary.

    `log_probs` are those at temperature 1, minus infinity where a position has fewer than k. `shifts` holds,
    for other temperatures T, c_T = lse(z) / T - lse(z / T) `[...]`, with which log p_T = log p_1 / T + c_T
    is exact.
    """

    ids: Tensor
    log_probs: Tensor
    shifts: Mapping[float, Tensor] = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, part: slice | Tensor) -> TopK:
        return TopK(self.ids[part], self.log_probs[part], {t: shift[part] for t, shift in self.shifts.items()})


@dataclass(frozen=True)
class Sampled:
    """Draws from the teacher at each position: `ids` `[..., m]` and how often each came, `counts` `[..., m]`.

    counts / sum(counts) is an unbiased estimate of the distribution. Rows with fewer ids end in counts of 0.
    """

    ids: Tensor
    counts: Tensor

    def __getitem__(self, part: slice | Tensor) -> Sampled:
        return Sampled(self.ids[part], self.counts[part])


Scores = Tensor | Projection | Mixture | TopK | Sampled


@overload
def flat(scores: Tensor | Projection) -> Tensor | Projection: ...
@overload
def flat(scores: Scores) -> Scores: ...
def flat(scores: Scores) -> Scores:
    """Positions in one row: `[rows, positions, ...]` -> `[rows * positions, ...]`."""
    if isinstance(scores, Tensor):
        return scores.flatten(0, -2)
    if isinstance(scores, Projection):
        return replace(scores, states=scores.states.flatten(0, -2))
    if isinstance(scores, Mixture):
        return Mixture(tuple(flat(part) for part in scores.parts), scores.weights.flatten(0, -2))
    if isinstance(scores, TopK):
        shifts = {heat: shift.flatten() for heat, shift in scores.shifts.items()}
        return TopK(scores.ids.flatten(0, -2), scores.log_probs.flatten(0, -2), shifts)
    return Sampled(scores.ids.flatten(0, -2), scores.counts.flatten(0, -2))


def labels_of(scores: Scores) -> int | None:
    """How many labels are scored, or None for forms that do not say."""
    if isinstance(scores, Mixture):
        return min(_width(part) for part in scores.parts)
    return _width(scores) if isinstance(scores, Tensor | Projection) else None


def everywhere(scores: Scores) -> Tensor:
    """All positions of some scores: True `[rows, positions]`."""
    if isinstance(scores, Mixture):
        return (scores.weights > 0).any(-1)
    tensor = scores if isinstance(scores, Tensor) else scores.states if isinstance(scores, Projection) else scores.ids
    return torch.ones(tensor.shape[:-1], dtype=torch.bool, device=tensor.device)


def _width(scores: Tensor | Projection) -> int:
    return len(scores.weight) if isinstance(scores, Projection) else scores.shape[-1]
