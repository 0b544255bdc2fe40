"""Confident learning: which labels are likely wrong, from the probabilities of a model that has not seen them."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rule", "likely_wrong", "margins"]

Matrix = NDArray[np.float64]


class Rule(StrEnum):
    """How the confident joint becomes suspects."""

    CONFIDENT = "confident"
    """Every row that is confidently of another label."""
    NOISE_RATE = "noise-rate"
    """Of each pair of labels as many rows as are estimated to be confused, those with the largest margins."""


def likely_wrong(probabilities: Matrix, labels: NDArray[np.int64], rule: Rule) -> NDArray[np.bool_]:
    """Which labels are likely wrong, bool [rows]: Northcutt, Jiang and Chuang 2021 (arXiv 1911.00068).

    t_j, the mean of p(j | x) over rows labelled j, is how sure a model is of label j where it is given. A row counts
    for (its label, k) in the confident joint C when k is the likeliest of the labels j with p(j | x) >= t_j. Rows
    off the diagonal are confidently of another label. The rates of C, with rows scaled to how often each label was
    given, estimate the joint distribution of given and true labels; from each cell (i, k) off the diagonal the n Q_ik
    rows with the largest p(k | x) - p(i | x) are taken. A row whose own label is the likeliest is never a suspect.
    """
    own = np.arange(len(labels))
    likeliest = probabilities.argmax(axis=1)
    believed = _believed(probabilities, labels)
    if rule == Rule.CONFIDENT:
        return (believed >= 0) & (believed != labels) & (likeliest != labels)
    wrong = np.zeros(len(labels), np.bool_)
    for (given, other), count in _expected(believed, labels, probabilities.shape[1]):
        rows = np.flatnonzero(labels == given)
        gain = probabilities[rows, other] - probabilities[own[rows], given]
        wrong[rows[np.lexsort((rows, -gain))[:count]]] = True
    return wrong & (likeliest != labels)


def margins(probabilities: Matrix, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """By how much the likeliest other label beats the given one, -1..1."""
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -1.0
    return others.max(axis=1) - probabilities[rows, labels]


def _believed(probabilities: Matrix, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The label that each row is confidently of; -1 where it is of none."""
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    given = probabilities[np.arange(len(labels)), labels]
    sums = np.bincount(labels, weights=given, minlength=classes)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    sure = probabilities >= thresholds - 1e-9
    masked = np.where(sure, probabilities, -1.0)
    return np.where(sure.any(axis=1), masked.argmax(axis=1), -1)


def _expected(
    believed: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> list[tuple[tuple[int, int], int]]:
    """For pairs of labels, how many rows given the first are estimated to be of the second."""
    judged = believed >= 0
    joint = np.bincount(labels[judged] * classes + believed[judged], minlength=classes**2).reshape(classes, classes)
    counts = np.bincount(labels, minlength=classes)
    totals = joint.sum(axis=1)
    rates = joint / np.maximum(totals, 1)[:, None]
    expected = np.stack([_rounded(row, int(count)) for row, count in zip(rates * counts[:, None], counts, strict=True)])
    cells = [(int(given), int(other)) for given, other in np.argwhere(expected > 0) if given != other]
    return [(cell, int(expected[cell])) for cell in cells]


def _rounded(row: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Shares of a total as whole numbers with this sum: the largest remainders are rounded up."""
    found = np.floor(row).astype(np.int64)
    left = total - int(found.sum()) if row.sum() > 0 else 0
    found[np.argsort(-(row - found), kind="stable")[:left]] += 1
    return found
