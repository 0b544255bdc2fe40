"""Which of the teacher's layers a smaller student keeps, and which teacher layer each of its layers listens to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from stillhouse.errors import UsageError

__all__ = ["Strategy", "alternate", "evenly", "first", "last", "layer_map", "pick"]

Strategy = Literal["uniform", "skip", "last"]


def evenly(total: int, keep: int) -> tuple[int, ...]:
    """`keep` of `total` layers, evenly spread, the first and the last among them; one alone is the first.

    As DistilBERT picks them (Sanh et al. 2019, arxiv.org/abs/1910.01108): 3 of 6 gives 0, 2, 5.
    """
    _check(total, keep)
    if keep == 1:
        return (0,)
    return tuple(index * (total - 1) // (keep - 1) for index in range(keep))


def alternate(total: int, keep: int) -> tuple[int, ...]:
    """Every other layer, counted from the first up and from the last down: 6 of 12 gives 0, 2, 4, 7, 9, 11.

    So the published DistilBERT was begun. Like `evenly`, but rounded up in the upper half.
    """
    lower = evenly(total, keep)[: (keep + 1) // 2]
    return lower + tuple(total - 1 - layer for layer in reversed(lower[: keep // 2]))


def first(total: int, keep: int) -> tuple[int, ...]:
    """The first `keep` of `total` layers."""
    _check(total, keep)
    return tuple(range(keep))


def last(total: int, keep: int) -> tuple[int, ...]:
    """The last `keep` of `total` layers."""
    _check(total, keep)
    return tuple(range(total - keep, total))


def pick(total: int, layers: int | Sequence[int] | None) -> tuple[int, ...]:
    """The layers that a number of them (spread evenly), a list of them, or None (all) means."""
    if layers is None:
        return tuple(range(total))
    if isinstance(layers, int):
        return evenly(total, layers)
    chosen = tuple(layers)
    if not chosen or list(chosen) != sorted(set(chosen)) or not 0 <= chosen[0] <= chosen[-1] < total:
        raise UsageError(
            f"Layers {list(chosen)} cannot be kept of a teacher of {total}: name some of 0 to {total - 1}, "
            "each once, in rising order."
        )
    return chosen


def layer_map(student: int, teacher: int, strategy: Strategy = "uniform") -> dict[int, int]:
    """For each of the `student` layers, from 0, the one of the `teacher` layers that it is compared with.

    `uniform` spreads them as `evenly` does, so that a student cut by `shrink` is compared with the layers it was made
    of: 3 of 6 gives 0: 0, 1: 2, 2: 5. `skip` takes the last of each stretch of teacher / student layers, as PKD and
    TinyBERT do (Sun et al. 2019, arxiv.org/abs/1908.09355; Jiao et al. 2020, arxiv.org/abs/1909.10351): 0: 1, 1: 3,
    2: 5. `last` takes the teacher's last ones: 0: 3, 1: 4, 2: 5.
    """
    _check(teacher, student)
    if strategy == "skip":
        return {layer: (layer + 1) * teacher // student - 1 for layer in range(student)}
    if strategy not in ("uniform", "last"):
        raise UsageError(f"There is no way {strategy!r} to map layers; choose uniform, skip or last.")
    return dict(enumerate(evenly(teacher, student) if strategy == "uniform" else last(teacher, student)))


def _check(total: int, keep: int) -> None:
    if not 1 <= keep <= total:
        raise UsageError(f"A student of {keep} layers cannot be cut from an encoder of {total}; choose 1 to {total}.")
