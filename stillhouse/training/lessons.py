"""Lessons: the rows a student may learn from, and those it is selected by; knows no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stillhouse.artifacts import hash_json, hash_lines

__all__ = ["Floats", "Labels", "Lessons", "Part"]

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Some rows: their texts, and the teacher's and the true labels `[rows, fields]` (-1: none)."""

    texts: list[str]
    labels: Labels
    truths: Labels

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def hash(self) -> str:
        """Of every text and label, in order."""
        return hash_json([hash_lines(self.texts), self.labels.tolist(), self.truths.tolist()])


@dataclass(frozen=True)
class Lessons:
    """What is taught: `train` holds answered rows and prompts without an answer; `selection` picks the best weights."""

    train: Part
    selection: Part
    sizes: tuple[int, ...]
    """Labels of each field."""
    soft: dict[int, list[Floats]] = field(default_factory=dict[int, list[Floats]])
    """Row of `train` → the teacher's recorded distribution over the labels of each field."""

    @property
    def hash(self) -> str:
        """Of everything a student may learn from or be selected by."""
        soft = [[row, *(part.tolist() for part in parts)] for row, parts in sorted(self.soft.items())]
        return hash_json([self.train.hash, self.selection.hash, self.sizes, soft])
