"""Distances between distributions over different vocabularies: sorted probabilities, and the tokens both share.

Pure, unreduced maths. Every function takes log-probabilities, whose last axis is a vocabulary.
"""

from __future__ import annotations

from torch import Tensor

from stillhouse.errors import UsageError
from stillhouse.objectives.divergences import with_rest

__all__ = ["shared_and_rest", "universal_distance", "universal_distance_of_largest"]


def universal_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """sum_i |q_(i) - p_(i)| of the probabilities in falling order: `[..., V_s]`, `[..., V_t]` -> `[...]`, from 0 to 2.

    The shorter vocabulary is filled up with zeros. Zero when both have the same probabilities, for whichever tokens.
    Universal logit distillation (ULD), Boizard et al. 2024, arxiv.org/abs/2402.12030.
    """
    mine, its = (side.sort(dim=-1, descending=True).values.exp() for side in (student, teacher))
    shared = min(mine.shape[-1], its.shape[-1])
    beyond = mine[..., shared:].sum(-1) + its[..., shared:].sum(-1)  # one of the two is empty
    return (mine[..., :shared] - its[..., :shared]).abs().sum(-1) + beyond


def universal_distance_of_largest(student: Tensor, teacher: Tensor, kept: int = 64) -> Tensor:
    """The same over the `kept` largest of each side, plus |rest of q - rest of p|; shapes as above.

    Never above the exact distance, and below it by at most twice the smaller rest, which the largest leave over;
    exact when one side has no rest. No row is sorted whole. A side may hold all its log-probs or only its largest
    (a cached teacher's top-k), in any order; `kept` is lowered to what is there. The rest is one minus the kept, so
    the log-probs must be normalised over the whole vocabulary.
    """
    if kept < 1:
        raise UsageError(f"The universal distance needs at least one probability a side; kept is {kept}.")
    kept = min(kept, student.shape[-1], teacher.shape[-1])
    mine, its = (side.topk(kept, dim=-1).values.exp() for side in (student, teacher))
    apart = mine - its
    return apart.abs().sum(-1) + apart.sum(-1).abs()


def shared_and_rest(log_probs: Tensor, ids: Tensor) -> Tensor:
    """Log-probs of the shared ids, and of all the rest together: `[..., V]` and ids `[k]` -> `[..., k + 1]`.

    Both sides in this form have one vocabulary, and every divergence of `divergences.py` may compare them: it is zero
    when the two agree on all shared tokens, and at most what it would be over the whole. `ids` come from
    `signals/token_bytes.py`, without repeats.
    """
    return with_rest(log_probs[..., ids])
