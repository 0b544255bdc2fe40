"""Hashed word and character n-grams: text to ids with no vocabulary and no dependency but numpy."""

from __future__ import annotations

import re
import zlib
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["ngram_ids"]

_WORD = re.compile(r"\w+|[^\w\s]")
_CHARACTERS = range(3, 6)


def ngram_ids(text: str, buckets: int, limit: int) -> npt.NDArray[np.int64]:
    """Ids `[grams]` in 1..buckets-1 of a text's words, word pairs and 3- to 5-character pieces.

    Characters are taken inside ` word ` with its spaces, as scikit-learn's `char_wb` does. Each
    distinct gram counts once. Id 0 is kept for padding; at most `limit` ids are returned.
    """
    words = _WORD.findall(text.lower())
    grams = {f"w{word}" for word in words}
    grams.update(f"p{first} {second}" for first, second in pairwise(words))
    for word in words:
        padded = f" {word} "
        for size in _CHARACTERS:
            grams.update(padded[start : start + size] for start in range(len(padded) - size + 1))
    ids = sorted(zlib.crc32(gram.encode()) % (buckets - 1) + 1 for gram in grams)
    return np.asarray(ids[:limit], dtype=np.int64)
