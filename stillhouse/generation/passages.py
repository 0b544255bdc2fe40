"""Passages: texts found again by what is asked, by their words (BM25) or by their vectors; long texts cut into them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import WORD
from stillhouse.errors import MissingExtra, UsageError
from stillhouse.extras import install, missing

__all__ = ["Found", "Passages", "PassagesByVectors", "PassagesByWords", "cut"]

Floats = NDArray[np.float64]
K1, B = 1.5, 0.75


@final
@dataclass(frozen=True, slots=True)
class Found:
    """A passage that fits."""

    at: int
    """Its position among the passages."""
    text: str
    score: float


class Passages(Protocol):
    """Texts that can be searched."""

    def find(self, query: str, count: int) -> list[Found]:
        """Up to `count` passages, the best first; those that do not fit at all are left out."""
        ...


@final
class PassagesByWords:
    """Texts by BM25 with k1 = 1.5 and b = 0.75: words of the query count by how rare they are and how often they occur.

    score(q, d) = sum over words w of q of ln(1 + (N - n_w + 0.5) / (n_w + 0.5)) f_wd (k1 + 1) / (f_wd + k1 (1 - b + b
    |d| / mean |d|)), up to the constant k1 + 1, which Lucene leaves out. Source: S. Robertson and H. Zaragoza, "The
    probabilistic relevance framework: BM25 and beyond" (2009); computed by the library bm25s.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Index some texts; raises MissingExtra without bm25s, and UsageError where no text has a word."""
        absent = missing(["bm25s"])
        if absent:
            raise MissingExtra(f"Passages are found by words with bm25s. Install it with: {install(absent)}")
        self._texts = list(texts)
        words = [_words(text) for text in texts]
        if not any(words):
            raise UsageError(f"There is nothing to search: none of {len(self._texts):,} passages has a word.")
        self._known = {word for each in words for word in each}
        library: Any = import_module("bm25s")
        self._index: Any = library.BM25(k1=K1, b=B, method="lucene")
        self._index.index(words, show_progress=False)

    def find(self, query: str, count: int) -> list[Found]:
        asked = [word for word in _words(query) if word in self._known]
        if not asked:
            return []
        return _best(self._texts, np.asarray(self._index.get_scores(asked), np.float64), count)


@final
class PassagesByVectors:
    """Texts by the cosine between the query's vector and theirs; a function tells vectors, float64 [texts, width]."""

    def __init__(self, embed: Callable[[Sequence[str]], Floats], texts: Sequence[str]) -> None:
        if not texts:
            raise UsageError("There is nothing to search: no passages were given.")
        self._embed, self._texts = embed, list(texts)
        self._vectors = _unit(embed(self._texts))

    def find(self, query: str, count: int) -> list[Found]:
        return _best(self._texts, self._vectors @ _unit(self._embed([query]))[0], count)


def cut(text: str, words: int, shared: int = 0) -> list[str]:
    """A long text as passages of at most so many words, at paragraphs where they fit, else anywhere between words.

    Passages cut out of one paragraph share `shared` words with the one before.
    """
    if not 0 <= shared < words:
        raise UsageError(f"Passages of {words} words cannot share {shared}.")
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        parts = paragraph.split()
        if not parts:
            continue
        room = words - len(found[-1].split()) if found else 0
        if len(parts) <= room:
            found[-1] = f"{found[-1]}\n\n{' '.join(parts)}"
            continue
        starts = range(0, max(1, len(parts) - shared), words - shared)
        found.extend(" ".join(parts[start : start + words]) for start in starts)
    return found


def _best(texts: Sequence[str], scores: Floats, count: int) -> list[Found]:
    """The highest scores above 0, of equal ones the first."""
    order: list[int] = np.argsort(-scores, kind="stable")[:count].tolist()
    return [Found(at, texts[at], float(scores[at])) for at in order if scores[at] > 0]


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0)
