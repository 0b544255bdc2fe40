"""Levels: the few log-probabilities that are kept, dense where probability is high; and the mass that is left over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from stillhouse.errors import UsageError
from stillhouse.signals.entries import MOST_VALUES

__all__ = ["FLOOR", "Levels", "decode_tails", "encode_tails"]

FLOOR = -80.0
"""Log-probs below this are kept as this: e^-80 is 2e-35."""

Floats = npt.NDArray[np.float64]

_LOWEST, _TAIL_STEP = -20.0, 34.0 / 65535
"""The log-odds of the mass outside the likeliest k, kept in two bytes between -20 and 14."""


@final
@dataclass(frozen=True)
class Levels:
    """The levels of log p, spaced 1 / (1 / step + sqrt(p) / root_step) nats apart, numbered upwards from `FLOOR`.

    Small probabilities are `step` nats apart; large ones root_step / sqrt(p), which spreads the divergence evenly.
    An error is at most half the spacing at the smaller of the two: at most step / 2 nats and, where KL is made,
    sum_i p_i error_i^2 / 2 <= min(step^2, k root_step^2) / 8 nats in second order. `root_step` may be infinite.
    """

    step: float = 0.25
    root_step: float = 0.008

    def __post_init__(self) -> None:
        if not (0 < self.step < math.inf and self.root_step > 0):
            raise UsageError(f"Steps must be above 0; they are {self.step} and {self.root_step}.")
        if self.count >= MOST_VALUES:
            raise UsageError(
                f"A step of {self.step} and a root step of {self.root_step} make {self.count:,} levels; "
                f"at most {MOST_VALUES - 1:,} can be kept. Make one of them larger."
            )

    @property
    def count(self) -> int:
        return round(float(self._rise(np.zeros(1))[0])) + 1

    @cached_property
    def log_probs(self) -> Floats:
        """The log-prob of each level, by its number: `[count]`."""
        low, high = np.full(self.count, FLOOR), np.zeros(self.count)
        numbers = np.arange(self.count)
        for _ in range(60):
            middle = (low + high) / 2
            above = self._rise(middle) > numbers
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return (low + high) / 2

    def encode(self, log_probs: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The nearest level of each log-prob, in numbers of levels: `[...]` -> `[...]`."""
        clipped = np.clip(log_probs.astype(np.float64), FLOOR, 0.0)
        return np.rint(self._rise(clipped)).astype(np.int64)

    def _rise(self, log_probs: Floats) -> Floats:
        """How many spacings lie between `FLOOR` and a log-prob: the integral of one over the spacing."""
        roots = 2 / self.root_step * (np.exp(log_probs / 2) - math.exp(FLOOR / 2))
        return (log_probs - FLOOR) / self.step + roots


def encode_tails(masses: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Masses between 0 and 1 in two bytes each, to 0.03 % of the smaller of mass and 1 - mass: `[...]` -> `[...]`.

    Masses below 2e-9 become 2e-9: float32 log-probs do not tell them apart.
    """
    mass = np.clip(masses.astype(np.float64), 1e-12, 1 - 1e-12)
    odds = np.log(mass) - np.log1p(-mass)
    return np.rint(np.clip((odds - _LOWEST) / _TAIL_STEP, 0, 65535)).astype(np.uint16)


def decode_tails(codes: npt.NDArray[np.uint16]) -> Floats:
    """log(1 - mass), the log of what the likeliest k hold: `[...]` -> `[...]`."""
    return -np.logaddexp(0.0, codes * _TAIL_STEP + _LOWEST)
