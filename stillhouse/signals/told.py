"""TopK and Sampled: what a teacher told about the next token at each position, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import UsageError

__all__ = ["Sampled", "Signal", "TopK"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class TopK:
    """The likeliest tokens of each position: `ids` `[..., k]` and `log_probs` `[..., k]` over the whole vocabulary.

    `log_probs` are those at temperature 1, minus infinity where a position has fewer than k. `shifts` holds, for
    other temperatures T, c_T = lse(z) / T - lse(z / T) `[...]`, with which log p_T = log p_1 / T + c_T is exact.
    """

    ids: Integers
    log_probs: Floats
    shifts: Mapping[float, Floats] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, logits: npt.NDArray[Any], k: int, temperatures: Sequence[float] = (2.0, 4.0)) -> TopK:
        """The k likeliest of dense logits `[..., vocabulary]`, in falling order, with shifts for `temperatures`."""
        k = min(k, logits.shape[-1])
        likely = np.argpartition(-logits, k - 1, axis=-1)[..., :k]
        scores = np.take_along_axis(logits, likely, axis=-1)
        falling = np.argsort(-scores, axis=-1, kind="stable")
        ids, scores = (np.take_along_axis(values, falling, axis=-1) for values in (likely, scores))
        mass = _log_sum_exp(logits, 1.0)
        shifts = {heat: (mass / heat - _log_sum_exp(logits, heat)).astype(np.float32) for heat in temperatures}
        return cls(ids.astype(np.int32), (scores - mass[..., None]).astype(np.float32), shifts)

    @property
    def there(self) -> npt.NDArray[np.bool_]:
        """Which entries there are: `[..., k]`."""
        return self.log_probs > -np.inf

    def at(self, temperature: float) -> Floats:
        """The log-probs at another temperature, exactly if all logits were known: `[..., k]`."""
        if temperature == 1.0:
            return self.log_probs
        if temperature not in self.shifts:
            known = ", ".join(f"{heat:g}" for heat in (1.0, *self.shifts))
            raise UsageError(f"These signals know the temperatures {known}, not {temperature:g}.")
        return self.log_probs / np.float32(temperature) + self.shifts[temperature][..., None]

    def tail(self, temperature: float = 1.0) -> npt.NDArray[np.float64]:
        """The mass outside the k tokens at a temperature, between 0 and 1: `[...]`."""
        held = np.exp(self.at(temperature), dtype=np.float64).sum(axis=-1)
        return np.clip(1.0 - held, 0.0, 1.0)

    def first(self, k: int) -> TopK:
        """The first k entries of each position: the likeliest, as `of` and the codecs order them."""
        return TopK(self.ids[..., :k], self.log_probs[..., :k], self.shifts)

    def __getitem__(self, part: Any) -> TopK:
        return TopK(self.ids[part], self.log_probs[part], {heat: shift[part] for heat, shift in self.shifts.items()})

    def spread(self, places: Places, shape: tuple[int, int]) -> TopK:
        """Positions `[told, k]` laid out at `places` of `[rows, positions, k]`; nothing is told at the others."""
        shifts = {heat: _spread(shift, places, shape, 0) for heat, shift in self.shifts.items()}
        ids, log_probs = _spread(self.ids, places, shape, 0), _spread(self.log_probs, places, shape, -np.inf)
        return TopK(ids, log_probs, shifts)


@final
@dataclass(frozen=True, eq=False)
class Sampled:
    """Draws from the teacher at each position: `ids` `[..., m]` and how often each came, `counts` `[..., m]`.

    counts / sum(counts) is an unbiased estimate of the distribution. Rows with fewer ids end in counts of 0.
    """

    ids: Integers
    counts: Integers

    @property
    def there(self) -> npt.NDArray[np.bool_]:
        """Which entries there are: `[..., m]`."""
        return self.counts > 0

    def __getitem__(self, part: Any) -> Sampled:
        return Sampled(self.ids[part], self.counts[part])

    def spread(self, places: Places, shape: tuple[int, int]) -> Sampled:
        """Positions `[told, m]` laid out at `places` of `[rows, positions, m]`; nothing is told at the others."""
        return Sampled(_spread(self.ids, places, shape, 0), _spread(self.counts, places, shape, 0))


Signal = TopK | Sampled


def _spread(told: npt.NDArray[Any], places: Places, shape: tuple[int, int], untold: float) -> npt.NDArray[Any]:
    rows, positions = shape
    if len(places) == rows * positions:
        return told.reshape(*shape, *told.shape[1:])
    out = np.full((rows * positions, *told.shape[1:]), untold, dtype=told.dtype)
    out[places] = told
    return out.reshape(*shape, *told.shape[1:])


def _log_sum_exp(logits: npt.NDArray[Any], temperature: float) -> npt.NDArray[np.float64]:
    """log sum exp(z / T) over the last axis, added up in float64: `[..., vocabulary]` -> `[...]`."""
    scores = logits.astype(np.result_type(logits.dtype, np.float32), copy=False)
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp((scores - top) / scores.dtype.type(temperature))
    return top[..., 0].astype(np.float64) / temperature + np.log(powers.sum(axis=-1, dtype=np.float64))
