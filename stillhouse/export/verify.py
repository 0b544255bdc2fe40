"""Same inputs, same answers: an exported student against the trained one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Parity", "compare"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """How alike two students answer the same rows."""

    agreement: float
    """Share of rows on which every field's answer is the same, 0..1."""
    largest_difference: float
    """The largest difference of any label's probability, 0..1."""
    rows: int


def compare(trained: list[Floats], exported: list[Floats]) -> Parity:
    """Probabilities `[rows, labels]` per field, of the trained student and of the exported one."""
    rows = len(trained[0])
    if not rows:
        return Parity(1.0, 0.0, 0)
    pairs = list(zip(trained, exported, strict=True))
    same = np.logical_and.reduce([one.argmax(1) == other.argmax(1) for one, other in pairs])
    difference = max(float(np.abs(one - other).max()) for one, other in pairs)
    return Parity(float(same.mean()), difference, rows)
