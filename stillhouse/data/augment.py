"""New prompts out of recorded ones, for a teacher at hand to answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["augment"]

DROPPED, REPLACED = 0.15, 0.15


def augment(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` new texts: a text with words dropped or replaced, or two spliced; the same for the same seed.

    They need not read well: a student that has seen what its teacher says of them repeats it better on
    real prompts, as Jiao et al. found for TinyBERT (2020, arxiv.org/abs/1909.10351). Only answers of a
    teacher make sense of them; they have no label of their own.
    """
    random = np.random.default_rng(seed)
    split = [text.split() for text in texts]
    words = [word for parts in split for word in parts]
    if not words:
        return []
    made: list[str] = []
    draws: list[list[int]] = random.integers(0, [3, len(split), len(split)], size=(count, 3)).tolist()
    for kind, first, second in draws:
        own, other = split[first], split[second]
        if kind == 0 and len(own) > 1 and len(other) > 1:
            new = own[: random.integers(1, len(own))] + other[random.integers(1, len(other)) :]
        elif kind == 1 and len(own) > 2:
            new = [word for word, kept in zip(own, random.random(len(own)) > DROPPED, strict=True) if kept]
        else:
            strange = random.random(len(own)) < REPLACED
            new = [words[random.integers(len(words))] if odd else word for word, odd in zip(own, strange, strict=True)]
        made.append(" ".join(new or own))
    return made
