"""Made-up teachers: dense logits with a common prior and a mood of their own at every position."""

from __future__ import annotations

import numpy as np

from stillhouse.signals.told import Sampled, TopK

VOCABULARY = 5000


def logits(positions: int, vocabulary: int = VOCABULARY, seed: int = 0, spread: float = 2.0) -> np.ndarray:
    """Zipf's law over shuffled ids, plus noise: `[positions, vocabulary]` float32."""
    random = np.random.default_rng(seed)
    prior = -np.log(np.random.default_rng(1).permutation(vocabulary) + 2.0)
    heat = random.uniform(0.5, 2.0, (positions, 1))
    return (heat * (prior + spread * random.normal(size=(positions, vocabulary)))).astype(np.float32)


def top_k(positions: int, k: int = 16, seed: int = 0, vocabulary: int = VOCABULARY) -> TopK:
    """The likeliest k at each position, with shifts for temperatures 2 and 4."""
    return TopK.of(logits(positions, vocabulary, seed), k)


def draws(positions: int, most: int, seed: int = 0, vocabulary: int = VOCABULARY) -> Sampled:
    """Unique ids with counts, fewer at some positions; every position has one at least, and at most `most` draws."""
    random = np.random.default_rng(seed)
    ids = np.stack([random.choice(vocabulary, most, replace=False) for _ in range(positions)])
    unique = random.integers(1, max(most // 2, 1) + 1, (positions, 1))
    counts = np.where(np.arange(most) < unique, random.integers(1, 3, (positions, most)), 0)
    return Sampled(np.where(counts > 0, ids, 0).astype(np.int32), counts.astype(np.int32))


def by_id(told: TopK) -> tuple[np.ndarray, np.ndarray]:
    """Ids and log-probs of each position in the order of ids."""
    order = np.argsort(told.ids, axis=-1, kind="stable")
    return np.take_along_axis(told.ids, order, -1), np.take_along_axis(told.log_probs, order, -1)
