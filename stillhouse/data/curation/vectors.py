"""Vectors of texts without a model: hashed words and their beginnings, weighted by how rare they are."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import WORD, normalise
from stillhouse.data.curation.linear import Bags, gather

__all__ = ["Vectors", "hashed_vectors"]

Vectors = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors of length 1, float32 [texts, width]: these here, or those of a sentence encoder."""

NUMBER = re.compile(r"\d[\d.,]*")
WIDTH = 384
BUCKETS = 1 << 18
BEGINNING = 5
"""Characters of a word that count once more."""
USUAL = 0.8
"""Words in more than this share of the texts say nothing of what a text is about."""


def hashed_vectors(texts: Sequence[str]) -> Vectors:
    """What makes vectors by the words of these texts: feature hashing with signs (Weinberger et al. 2009, arXiv
    0902.2206), each word weighted by log(texts / texts with it). Texts without a telling word get zeros."""
    known = _bags(texts)
    counts = np.bincount(known.ids, minlength=BUCKETS)
    telling = (counts > 1) & (counts <= max(USUAL * len(texts), 2))
    telling[0] = False  # where texts without words are
    weights = np.where(telling, np.log(max(len(texts), 1) / np.maximum(counts, 1)), 0.0)
    random = np.random.default_rng(0)
    places = random.integers(0, WIDTH, len(counts))
    weights *= random.choice([-1.0, 1.0], len(counts))

    def vectors(some: Sequence[str]) -> NDArray[np.float32]:
        bags = _bags(some)
        rows = np.repeat(np.arange(len(some)), np.diff(bags.starts))
        flat = np.bincount(rows * WIDTH + places[bags.ids], weights[bags.ids], len(some) * WIDTH)
        found = flat.reshape(len(some), WIDTH)
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        return (found / np.where(norms > 0, norms, 1)).astype(np.float32)

    return vectors


def _bags(texts: Sequence[str]) -> Bags:
    """The distinct words of texts, numbers all alike, and how they begin, so that forms of a word are near."""
    return gather(map(_buckets, texts))


def _buckets(text: str) -> set[int]:
    words: set[str] = set(WORD.findall(NUMBER.sub("0", normalise(text))))
    grams = words | {f"{word[:BEGINNING]}~" for word in words}
    return {zlib.crc32(gram.encode()) % BUCKETS for gram in grams}
