"""A quick classifier of texts: softmax over hashed words and word pairs, learnt with numpy in seconds."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import WORD

__all__ = ["Bags", "bags_of", "gather", "learn", "out_of_fold", "predict"]

Floats = NDArray[np.float32]
KNOWN = 2_000_000
"""Words whose hashes are remembered."""
BUCKETS_FEW, BUCKETS_MANY, MANY = 1 << 18, 1 << 16, 32
"""Hash buckets for few labels, and for more than MANY, where each bucket takes more room."""
SMALLEST_BATCH, LARGEST_BATCH = 8, 256
RATE = 0.5
SEEN = 40_000
"""Rows that one training sees, counted again in each pass: many passes over few rows, one over many."""
MOST_PASSES = 40
DIGITS = 6
"""Digits that probabilities are rounded to, so that processors which add in another order agree."""


@final
@dataclass(frozen=True, slots=True)
class Bags:
    """Texts as bags of buckets, one after the other: those of text i are ids[starts[i]:starts[i + 1]]."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def some(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The ids of some texts joined, and how many each has."""
        sizes = self.starts[rows + 1] - self.starts[rows]
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        places: NDArray[np.int64] = np.repeat(self.starts[rows] - before[:-1], sizes) + np.arange(int(before[-1]))
        return self.ids[places], sizes


def bags_of(texts: Iterable[str], classes: int) -> Bags:
    """The distinct words and word pairs of normalised texts, hashed; every text has at least one bucket."""
    buckets = BUCKETS_MANY if classes > MANY else BUCKETS_FEW
    known: dict[str, int] = {}

    def each(text: str) -> set[int]:
        words: list[str] = WORD.findall(text)
        codes = [known.get(word) or known.setdefault(word, zlib.crc32(word.encode()) | 1) for word in words]
        if len(known) > KNOWN:
            known.clear()
        pairs = ((first * 2_654_435_761 ^ second * 40_503) >> 7 for first, second in pairwise(codes))
        return {code % buckets for code in (*codes, *pairs)}

    return gather(map(each, texts))


def gather(buckets: Iterable[Collection[int]]) -> Bags:
    """Bags of the buckets of each text; of a text without any it is bucket 0."""
    parts: list[NDArray[np.int32]] = []
    starts = [0]
    for own in buckets:
        parts.append(np.array(sorted(own) or [0], np.int32))
        starts.append(starts[-1] + len(parts[-1]))
    return Bags(np.concatenate(parts) if parts else np.zeros(0, np.int32), np.array(starts, np.int64))


def out_of_fold(bags: Bags, labels: NDArray[np.int64], classes: int, fold_of: NDArray[np.int64]) -> NDArray[np.float64]:
    """The probability of each label for each text, by a model that has not seen its fold, float64 [texts, classes]."""
    found = np.zeros((len(bags), classes))
    scale = _scale(bags)
    for fold in np.unique(fold_of).tolist():
        inside, outside = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        weights = learn(bags, scale, labels, classes, outside)
        found[inside] = predict(bags, scale, weights, inside)
    return np.round(found, DIGITS)


def learn(bags: Bags, scale: Floats, labels: NDArray[np.int64], classes: int, rows: NDArray[np.int64]) -> Floats:
    """Weights [buckets, classes] that minimise the cross-entropy on some rows, by AdaGrad.

    Each bucket has its own step, RATE / sqrt(sum of its squared gradients) (Duchi, Hazan and Singer 2011, JMLR 12):
    rare words learn as fast as frequent ones.
    """
    weights = np.zeros((len(scale), classes), np.float32)
    squares = np.full(len(scale), 1e-3, np.float32)
    order = np.random.default_rng(0)
    size = min(max(len(rows) // 50, SMALLEST_BATCH), LARGEST_BATCH)
    for _ in range(min(max(SEEN // max(len(rows), 1), 1), MOST_PASSES)):
        for some in _batches(order.permutation(rows), size):
            ids, sizes, values = _inputs(bags, scale, some)
            wrong = _softmax(_scores(weights, ids, sizes, values))
            wrong[np.arange(len(some)), labels[some]] -= 1
            slopes = np.repeat(wrong, sizes, axis=0) * values[:, None]
            touched, slopes = _by_bucket(ids, slopes)
            squares[touched] += (slopes**2).mean(axis=1)
            weights[touched] -= RATE * slopes / np.sqrt(squares[touched])[:, None]
    return weights


def predict(bags: Bags, scale: Floats, weights: Floats, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The probabilities of labels for some rows, float64 [rows, classes]."""
    found = np.zeros((len(rows), weights.shape[1]))
    for place, some in enumerate(_batches(rows, LARGEST_BATCH)):
        ids, sizes, values = _inputs(bags, scale, some)
        start = place * LARGEST_BATCH
        found[start : start + len(some)] = _softmax(_scores(weights, ids, sizes, values))
    return found


def _scale(bags: Bags) -> Floats:
    """The inverse document frequency of each bucket: log((1 + n) / (1 + df)) + 1."""
    buckets = BUCKETS_FEW if len(bags.ids) and int(bags.ids.max()) >= BUCKETS_MANY else BUCKETS_MANY
    counts = np.bincount(bags.ids, minlength=buckets)
    return (np.log((1 + len(bags)) / (1 + counts)) + 1).astype(np.float32)


def _batches(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _inputs(bags: Bags, scale: Floats, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64], Floats]:
    """Buckets, how many each text has, and their weights, of length 1 for each text."""
    ids, sizes = bags.some(rows)
    values = scale[ids]
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)[:-1]])
    norms = np.sqrt(np.add.reduceat(values**2, starts))
    return ids, sizes, (values / np.repeat(norms, sizes)).astype(np.float32)


def _scores(weights: Floats, ids: NDArray[np.int32], sizes: NDArray[np.int64], values: Floats) -> Floats:
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)[:-1]])
    return np.add.reduceat(weights[ids] * values[:, None], starts, axis=0)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _by_bucket(ids: NDArray[np.int32], slopes: Floats) -> tuple[NDArray[np.int32], Floats]:
    """Slopes that concern one bucket, added."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return ordered[first], np.add.reduceat(slopes[order], first, axis=0)
