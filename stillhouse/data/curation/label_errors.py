"""Label errors: rows whose label is likely wrong, found by confident learning; told, or dropped on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from stillhouse.data.curate import normalise
from stillhouse.data.curation.confident import Rule, likely_wrong, margins
from stillhouse.data.curation.curated import Change, Curated, again
from stillhouse.data.curation.linear import bags_of, out_of_fold
from stillhouse.data.curation.said import asked, label_of
from stillhouse.data.items import Item
from stillhouse.errors import DataError, UsageError

__all__ = ["MARGIN", "SUGGESTED", "SUSPECT", "LabelErrors", "Probabilities", "label_errors"]

SUSPECT = "label-suspect"
SUGGESTED, MARGIN = "suggested_label", "label_margin"
"""What a suspect's metadata say: the likelier label, and by how much it is likelier, 0..1."""
SHOWN = 20
MOST_LABELS = 1_000


class Probabilities(StrEnum):
    """Whose probabilities decide."""

    MODEL = "model"
    """A quick model over hashed words, which has not seen the row."""
    SOFT = "soft"
    """The teacher's own, where every labelled row has them."""


@final
@dataclass(frozen=True, slots=True)
class LabelErrors:
    """Settings of `label-errors`."""

    drop: bool = False
    """Whether suspects go; else they stay, tagged `label-suspect`."""
    rule: Rule = Rule.NOISE_RATE
    probabilities: Probabilities = Probabilities.MODEL
    folds: int = 5
    seed: int = 0
    fewest: int = 5
    """Labels with fewer rows are not judged."""

    def __post_init__(self) -> None:
        if not 2 <= self.folds <= 20:
            raise UsageError(f"folds = {self.folds} must lie between 2 and 20.")
        if self.fewest < 2:
            raise UsageError(f"fewest = {self.fewest} must be 2 or more.")


def label_errors(rows: Iterable[Item], settings: LabelErrors) -> Curated:
    """Tag rows whose label is likely wrong with `label-suspect` and the label that is likelier, or drop them.

    Equal texts are in one fold, so that a row's own mistake cannot speak for it. What is found is a suspicion: look
    at it (`stillhouse data suspects`) before it goes.
    """
    rows = again(rows)
    total, numbers, texts, given = _labelled(rows)
    names = sorted(set(given))
    if len(names) < 2:
        raise UsageError(f"Label errors need rows of two labels or more; here are {len(names)}.")
    if len(names) > MOST_LABELS:
        raise UsageError(f"These rows have {len(names):,} labels; label errors are looked for among {MOST_LABELS:,}.")
    codes = {name: code for code, name in enumerate(names)}
    labels = np.array([codes[name] for name in given], np.int64)
    if settings.probabilities == Probabilities.SOFT:
        shares = _soft(rows, numbers, codes)
    else:
        shares = out_of_fold(bags_of(texts, len(names)), labels, len(names), _folds(texts, settings))
    frequent = np.bincount(labels, minlength=len(names))[labels] >= settings.fewest
    wrong = likely_wrong(shares, labels, settings.rule) & frequent
    gains = margins(shares, labels)
    likelier = np.where(np.eye(len(names), dtype=np.bool_)[labels], -1.0, shares).argmax(axis=1)
    guessed: list[int] = likelier.tolist()
    rating = {numbers[at]: (names[guessed[at]], float(gains[at])) for at in np.flatnonzero(wrong).tolist()}
    counts = {"labelled rows": len(numbers), "rows of labels too rare to judge": int((~frequent).sum())}
    return _curated(rows, settings, rating, (total, counts, dict(zip(numbers, given, strict=True))))


def _curated(
    rows: Iterable[Item],
    settings: LabelErrors,
    rating: dict[int, tuple[str, float]],
    seen: tuple[int, dict[str, int], dict[int, str]],
) -> Curated:
    total, counts, given = seen
    worst = sorted(rating, key=lambda row: (-rating[row][1], row))
    found = [
        {"row": row, "label": given[row], "suggested": rating[row][0], "margin": round(rating[row][1], 4)}
        for row in worst[:SHOWN]
    ]
    told = counts | {"suspects": len(rating)}
    if settings.drop:
        reasons = {row: f"{SUSPECT}: likelier {name}, by {gain:.2f}" for row, (name, gain) in sorted(rating.items())}
        return Curated("label-errors", rows, total, reasons, {}, told, {"suspects": found})
    changes = {
        row: Change(tag=SUSPECT, metadata={SUGGESTED: name, MARGIN: f"{gain:.4f}"})
        for row, (name, gain) in sorted(rating.items())
    }
    return Curated("label-errors", rows, total, {}, changes, told, {"suspects": found})


def _labelled(rows: Iterable[Item]) -> tuple[int, list[int], list[str], list[str]]:
    """How many rows there are; of those with a label and words the numbers, normalised texts and labels.

    Where no row has a label but the answers are few different ones, these are the labels.
    """
    answers = not any(label_of(item) is not None for item in rows)
    total, numbers, texts, given = 0, list[int](), list[str](), list[str]()
    for number, item in enumerate(rows):
        total = number + 1
        label = (item.words.strip() or None) if answers else label_of(item)
        text = normalise(asked(item)) if label is not None else ""
        if label is not None and text:
            numbers.append(number)
            texts.append(text)
            given.append(label)
    if answers and len(set(given)) > max(len(given) // 5, 2):
        raise UsageError("Label errors need rows with labels; these have none, and too many different answers.")
    return total, numbers, texts, given


def _folds(texts: Sequence[str], settings: LabelErrors) -> NDArray[np.int64]:
    """The fold of each text, by its content and the seed."""
    digests = (
        hashlib.blake2b(f"{settings.seed}\n{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for text in texts
    )
    return np.array([int.from_bytes(digest, "little") % settings.folds for digest in digests], np.int64)


def _soft(rows: Iterable[Item], numbers: Sequence[int], codes: dict[str, int]) -> NDArray[Any]:
    """The teacher's probabilities of the labelled rows, float64 [rows, labels]."""
    places = {number: place for place, number in enumerate(numbers)}
    found = np.zeros((len(numbers), len(codes)))
    for number, item in enumerate(rows):
        place = places.get(number)
        if place is None:
            continue
        if not item.soft:
            raise DataError(
                f'Row {number + 1} ({item.id}) has a label and no probabilities: with `probabilities = "soft"` every '
                'labelled row needs them. Ask the teacher with log-probabilities, or take `probabilities = "model"`.'
            )
        for name, share in item.soft.items():
            if name in codes:
                found[place, codes[name]] = share
    return found
