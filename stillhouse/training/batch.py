"""Which samples go together: shuffled anew each epoch, batches of like length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import numpy as np

__all__ = ["EpochBatches", "epoch_batches"]

_POOL = 50
"""Batches sorted by length together: enough to save padding, few enough to stay random."""


def epoch_batches(
    rows: Sequence[int], length: Callable[[int], int], size: int, seed: int, epoch: int
) -> list[list[int]]:
    """The batches of one epoch; a function of its arguments alone, so that a resumed run repeats it."""
    random = np.random.default_rng((seed, epoch))
    order = [rows[index] for index in random.permutation(len(rows))]
    batches: list[list[int]] = []
    for start in range(0, len(order), size * _POOL):
        pool = sorted(order[start : start + size * _POOL], key=length)
        batches.extend(pool[first : first + size] for first in range(0, len(pool), size))
    return [batches[index] for index in random.permutation(len(batches))]


@final
class EpochBatches:
    """The batches of every epoch by number, made once an epoch."""

    def __init__(self, rows: Sequence[int], length: Callable[[int], int], size: int, seed: int) -> None:
        self._given = (rows, length, size, seed)
        self._epoch: int | None = None
        self._batches: list[list[int]] = []

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        rows, _, size, _ = self._given
        return -(-len(rows) // size)

    def rows(self, epoch: int, number: int) -> list[int]:
        """The samples of batch `number` of an epoch."""
        if epoch != self._epoch:
            self._batches, self._epoch = epoch_batches(*self._given, epoch), epoch
        return self._batches[number]
