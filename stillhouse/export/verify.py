"""Same inputs, same answers: an exported student against the trained one, on every kind of student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from stillhouse.errors import ExportMismatch, UsageError
from stillhouse.export.pooling import open_stack
from stillhouse.export.subject import Kind, Subject
from stillhouse.models.tokenizers import Ids, pad

__all__ = [
    "Floats",
    "Parity",
    "Samples",
    "Tolerance",
    "answers",
    "check",
    "compare",
    "compare_vectors",
    "in_turn",
    "shares",
]

Floats = npt.NDArray[np.float32]
TOGETHER = 16
"""Rows in one pass."""


@dataclass(frozen=True)
class Parity:
    """How alike two students answer the same rows."""

    agreement: float
    """Share of rows on which every field's answer is the same, 0..1; of language models: all tokens that are written
    while they are compared, which may be the next one alone; of embeddings: the nearest other row."""
    largest_difference: float
    """The largest difference of any label's probability, 0..1; of embeddings: of any of a vector's numbers."""
    rows: int


@final
@dataclass(frozen=True)
class Tolerance:
    """How far an export may be from the student it came from."""

    agreement: float = 0.999
    """The least share of rows with the same answer; one row of a thousand may lie between two labels."""
    difference: float = 1e-3
    """The largest difference, as `Parity.largest_difference` counts it."""


@final
@dataclass(frozen=True)
class Samples:
    """Rows on which an export is compared, in the form that the student reads."""

    ids: tuple[Ids, ...] = ()
    """Each text's ids; none of images."""
    texts: tuple[str, ...] = ()
    """The texts, for exports that read them themselves."""
    pixels: Floats | None = None
    """Images as the student sees them, `[rows, channels, height, width]`."""
    origin: str = ""
    """Where they come from, in a few words."""

    @property
    def rows(self) -> int:
        return len(self.ids) if self.pixels is None else len(self.pixels)


def compare(trained: list[Floats], exported: list[Floats]) -> Parity:
    """Probabilities `[rows, labels]` per field, of the trained student and of the exported one."""
    rows = len(trained[0])
    if not rows:
        return Parity(1.0, 0.0, 0)
    pairs = list(zip(trained, exported, strict=True))
    same = np.logical_and.reduce([one.argmax(1) == other.argmax(1) for one, other in pairs])
    difference = max(float(np.abs(one - other).max()) for one, other in pairs)
    return Parity(float(same.mean()), difference, rows)


def compare_vectors(trained: Floats, exported: Floats) -> Parity:
    """Embeddings `[rows, width]`: whether each row has the same nearest other row, by cosine."""
    rows = len(trained)
    if not rows:
        return Parity(1.0, 0.0, 0)
    same = _nearest(trained) == _nearest(exported) if rows > 1 else np.ones(1, dtype=bool)
    return Parity(float(same.mean()), float(np.abs(trained - exported).max()), rows)


def _nearest(vectors: Floats) -> npt.NDArray[np.int64]:
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines.argmax(axis=1)


def answers(subject: Subject, samples: Samples) -> list[Floats]:
    """What the student itself says: per field the probabilities of its labels `[rows, labels]`; one `[rows, width]`
    array of vectors of an encoder; of a language model the next token's probabilities `[rows, vocabulary]`."""
    with torch.no_grad():
        if subject.kind is Kind.IMAGE:
            if samples.pixels is None:
                raise UsageError(f"{subject.folder} reads images, and the samples are none.")
            found = [
                subject.module(pixel_values=torch.from_numpy(samples.pixels[at : at + TOGETHER])).logits.numpy()
                for at in range(0, samples.rows, TOGETHER)
            ]
            return shares(np.concatenate(found), subject.fields)
        said = in_turn(samples.ids, _speaker(subject))
    return [said] if subject.kind is Kind.EMBEDDING else shares(said, subject.fields)


def _speaker(subject: Subject) -> Callable[[Ids, Ids], Floats]:
    """From ids and mask `[rows, tokens]` to what the student says of each row."""
    module: Any = subject.module
    stack = open_stack(subject.folder) if subject.kind is Kind.EMBEDDING else None

    def speak(ids: Ids, mask: Ids) -> Floats:
        given, kept = torch.from_numpy(ids), torch.from_numpy(mask)
        if subject.kind is Kind.CLASSIFIER:
            return module(given, kept).numpy()
        if stack is not None:
            return stack(module(input_ids=given, attention_mask=kept).last_hidden_state, kept).numpy()
        last = module(input_ids=given, attention_mask=kept, use_cache=False).logits
        return last[torch.arange(len(given)), kept.sum(1) - 1].numpy()

    return speak


def in_turn(rows: Sequence[Ids], speak: Callable[[Ids, Ids], Floats]) -> Floats:
    """What `speak` says of ids and mask `[rows, tokens]`, over rows of like length, put back in order."""
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    parts = [speak(*pad([rows[row] for row in order[at : at + TOGETHER]])) for at in range(0, len(order), TOGETHER)]
    return np.concatenate(parts)[np.argsort(order, kind="stable")]


def shares(logits: Floats, fields: Sequence[int]) -> list[Floats]:
    """Scores side by side `[rows, all labels]` as probabilities, one array per field; without fields all are one."""
    parts = np.split(logits, np.cumsum(fields)[:-1], axis=1) if fields else [logits]
    powers = [np.exp(part - part.max(axis=1, keepdims=True)) for part in parts]
    return [part / part.sum(axis=1, keepdims=True) for part in powers]


def check(parity: Parity, tolerance: Tolerance, what: str) -> Parity:
    """The parity, where it is within the tolerance; raises ExportMismatch where it is not."""
    if parity.agreement < tolerance.agreement or not parity.largest_difference <= tolerance.difference:
        raise ExportMismatch(
            f"{what} does not answer as the student it came from: on {parity.rows} rows {parity.agreement:.2%} of "
            f"answers are the same ({tolerance.agreement:.2%} or more is asked for), and the largest difference is "
            f"{parity.largest_difference:.2g} ({tolerance.difference:.2g} at most)."
        )
    return parity
