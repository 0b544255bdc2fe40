"""Which of the teacher's layers a smaller student keeps."""

from __future__ import annotations

from stillhouse.errors import UsageError

__all__ = ["evenly"]


def evenly(total: int, keep: int) -> tuple[int, ...]:
    """`keep` of `total` layers, evenly spread, the first and the last among them; one alone is the first.

    As DistilBERT picks them (Sanh et al. 2019, arxiv.org/abs/1910.01108): 3 of 6 gives 0, 2, 5.
    """
    if not 1 <= keep <= total:
        raise UsageError(f"A student of {keep} layers cannot be cut from an encoder of {total}; choose 1 to {total}.")
    if keep == 1:
        return (0,)
    return tuple(index * (total - 1) // (keep - 1) for index in range(keep))
