"""Clusters: texts that are about the same, by k-means over vectors, named by the words that set them apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import WORD, normalise

__all__ = ["centres_of", "distinctive_words", "nearest"]

Floats = NDArray[np.float32]
ROUNDS = 25
DRAWN = 4
TRIES, FEW = 5, 5_000
"""Of few vectors, how many times centres are looked for; the best are taken."""
WORDS = 4
PRIOR = 1_000
"""Words that the prior of a cluster's words weighs."""


def centres_of(vectors: Floats, count: int, seed: int) -> Floats:
    """Centres of clusters, float32 [at most count, width]: spherical k-means (Dhillon and Modha 2001) over vectors of
    length 1, begun by k-means++ (Arthur and Vassilvitskii 2007). Vectors of zeros count for nothing."""
    judged = vectors[np.abs(vectors).sum(axis=1) > 0]
    if not len(judged):
        return np.zeros((0, vectors.shape[1]), np.float32)
    random = np.random.default_rng(seed)
    tries = TRIES if len(judged) <= FEW else 1
    settled = [_settle(judged, _begin(judged, count, random)) for _ in range(tries)]
    return max(settled, key=lambda centres: round(float((judged @ centres.T).max(axis=1).mean()), 6))


def nearest(vectors: Floats, centres: Floats) -> NDArray[np.int64]:
    """The nearest centre of each vector; -1 for vectors of zeros."""
    if not len(centres):
        return np.full(len(vectors), -1, np.int64)
    found = (vectors @ centres.T).argmax(axis=1)
    return np.where(np.abs(vectors).sum(axis=1) > 0, found, -1)


def distinctive_words(texts: Sequence[str], of: NDArray[np.int64], count: int) -> list[str]:
    """For each cluster the words that are more frequent in it than elsewhere, joined by commas.

    Words are ranked by the z-score of their log odds against all texts with a Dirichlet prior of the words'
    frequencies (Monroe, Colaresi and Quinn 2008, "Fightin' Words"): rare words win only on evidence.
    """
    own: list[Counter[str]] = [Counter() for _ in range(count)]
    every: Counter[str] = Counter()
    clusters: list[int] = of.tolist()
    for text, cluster in zip(texts, clusters, strict=True):
        found: list[str] = WORD.findall(normalise(text))
        words: set[str] = {word for word in found if len(word) > 2 or not word.isascii()}
        every.update(words)
        if cluster >= 0:
            own[cluster].update(words)
    total = sum(every.values())
    return [", ".join(_telling(each, every, total)) for each in own]


def _telling(own: Counter[str], every: Counter[str], total: int) -> list[str]:
    inside, weight = sum(own.values()), min(total, PRIOR)
    scores: dict[str, float] = {}
    for word, count in own.items():
        prior, rest = every[word] / total * weight, every[word] - count
        here = (count + prior) / max(inside + weight - count - prior, 1e-9)
        there = (rest + prior) / max(total - inside + weight - rest - prior, 1e-9)
        scores[word] = math.log(here / there) / math.sqrt(1 / (count + prior) + 1 / (rest + prior))
    return sorted(scores, key=lambda word: (-round(scores[word], 9), word))[:WORDS]


def _begin(vectors: Floats, count: int, random: np.random.Generator) -> Floats:
    """Centres far from each other: some are drawn by their distance to the nearest before, and the one that leaves
    the rest nearest is taken."""
    first = int(random.integers(len(vectors)))
    centres = [vectors[first]]
    far = np.maximum(1 - vectors @ vectors[first], 0).astype(np.float64)
    while len(centres) < count and far.sum() > 1e-6:
        below = np.cumsum(far)
        drawn = [int(np.count_nonzero(below < share * below[-1])) for share in random.random(DRAWN)]
        left = [np.minimum(far, 1 - vectors @ vectors[min(each, len(far) - 1)]) for each in drawn]
        best = min(range(DRAWN), key=lambda at: float(left[at].sum()))
        centres.append(vectors[min(drawn[best], len(far) - 1)])
        far = np.maximum(left[best], 0)
    return np.stack(centres)


def _settle(vectors: Floats, centres: Floats) -> Floats:
    """The centres when their vectors no longer change."""
    before = np.full(len(vectors), -1)
    for _ in range(ROUNDS):
        found = (vectors @ centres.T).argmax(axis=1)
        if (found == before).all():
            break
        before = found
        centres = _middle(vectors, found, centres)
    return centres


def _middle(vectors: Floats, found: NDArray[np.int64], centres: Floats) -> Floats:
    """The direction of the mean of each cluster's vectors; a cluster that lost all of them stays where it was."""
    sums = np.zeros(centres.shape, np.float64)
    for cluster in range(len(centres)):
        sums[cluster] = vectors[found == cluster].sum(axis=0, dtype=np.float64)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(norms > 0, sums / np.where(norms > 0, norms, 1), centres).astype(np.float32)
