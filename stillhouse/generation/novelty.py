"""Novelty: how near a new text is to those that are there already, by its words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from rapidfuzz import process
from rapidfuzz.distance import Indel

from stillhouse.data.curate import WORD

__all__ = ["ByWords", "Nearest"]

FIRST, LAST = 0x10000, 0x10FFFF
"""Words are numbered by the characters beyond the basic plane, of which every one may stand in a text of Python's."""


@final
@dataclass(frozen=True)
class Nearest:
    """The text of a pool that is most like another."""

    likeness: float
    """0..1; 1 for the same words."""
    text: str


@final
class ByWords:
    """Texts by ROUGE-L: the longest common subsequence of words, F1.

    With words a and b and a longest common subsequence of l, ROUGE-L's F1 = 2 l / (a + b), which is the normalised
    similarity of insertions and deletions. Sources: C.-Y. Lin, "ROUGE: a package for automatic evaluation of summaries"
    (2004); below 0.7 to all that is there counts as new in Self-Instruct (Wang et al. 2022, arxiv.org/abs/2212.10560).
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._numbers: dict[str, str] = {}
        self._texts: list[str] = []
        self._coded: list[str] = []
        for text in texts:
            self.add(text)

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        """Put one more into the pool."""
        self._texts.append(text)
        self._coded.append(self._code(text))

    def nearest(self, text: str) -> Nearest | None:
        """The text with the highest ROUGE-L, None without any; two without words are alike when they are equal."""
        coded = self._code(text)
        if not coded:
            same = [Nearest(1.0, each) for each in self._texts if each == text]
            return same[0] if same else Nearest(0.0, self._texts[0]) if self._texts else None
        if not self._texts:
            return None
        _, likeness, at = process.extractOne(coded, self._coded, scorer=Indel.normalized_similarity)
        return Nearest(float(likeness), self._texts[int(at)])

    def _code(self, text: str) -> str:
        """A character for each word."""
        words: list[str] = WORD.findall(text.casefold())
        return "".join(self._numbers.setdefault(word, chr(self._next())) for word in words)

    def _next(self) -> int:
        return FIRST + len(self._numbers) % (LAST - FIRST + 1)
