"""Which samples go together: shuffled anew each epoch, batches of like length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["epoch_batches"]

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
