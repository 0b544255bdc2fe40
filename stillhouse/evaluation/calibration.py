"""Is the student as sure as it is right: temperature scaling, calibration error and the reliability picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.evaluation.answers import Bools, Floats

__all__ = ["ReliabilityBin", "expected_calibration_error", "fit_temperature", "reliability"]

COLDEST, HOTTEST = 0.25, 10.0
FEWEST_ROWS = 30
"""With fewer labelled rows the fit would be noise, and the temperature stays 1."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of about equal confidence: how sure the student was and how often it was right, all 0..1."""

    confidence: float
    accuracy: float
    rows: int


def fit_temperature(logits: Floats, labels: NDArray[np.integer]) -> float:
    """The temperature T that makes softmax(logits / T) likeliest, within 0.25 and 10; 1 with under 30 rows.

    `logits` [rows, labels], `labels` [rows]; rows labelled -1 are left out. The mean negative log-likelihood is
    convex in b = 1 / T, with slope mean(E[z] - z_label) and curvature mean(Var[z]) under softmax(b z), so Newton's
    steps, kept inside the bracket that the slope's sign narrows, find its one minimum. Source: C. Guo et al., "On
    calibration of modern neural networks" (2017).
    """
    known = labels >= 0
    if np.count_nonzero(known) < FEWEST_ROWS:
        return 1.0
    scores = logits[known].astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    mean_chosen = float(scores[np.arange(len(scores)), labels[known]].mean())
    low, high, inverse = 1.0 / HOTTEST, 1.0 / COLDEST, 1.0
    for _ in range(60):
        slope, curvature = _slope_and_curvature(scores, inverse, mean_chosen)
        low, high = (low, inverse) if slope > 0.0 else (inverse, high)
        step = inverse - slope / curvature if curvature > 0.0 else high
        step = step if low < step < high else (low + high) / 2.0
        if abs(step - inverse) < 1e-9:
            break
        inverse = step
    return 1.0 / inverse


def expected_calibration_error(confidence: Floats, correct: Bools, bins: int = 15) -> float:
    """The mean gap between confidence and accuracy over bins of equally many rows, weighted by rows; 0 without rows.

    ECE = sum over bins of (rows in bin / rows) |accuracy - mean confidence|. Source: M. P. Naeini, G. F. Cooper and
    M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning" (2015); equal-mass bins after
    K. Nguyen and B. O'Connor, "Posterior calibration and exploratory analysis for natural language processing
    models" (2015), as nearly all rows of a good student share one equal-width bin.
    """
    parts = reliability(confidence, correct, bins)
    return sum(part.rows * abs(part.accuracy - part.confidence) for part in parts) / max(len(correct), 1)


def reliability(confidence: Floats, correct: Bools, bins: int = 15) -> tuple[ReliabilityBin, ...]:
    """Rows [rows] sorted by confidence in at most `bins` bins of about equal size, for the reliability picture.

    Rows of equal confidence stay together, so the order of rows changes nothing and bins may be fewer or uneven.
    """
    rising = np.sort(confidence)
    place = np.searchsorted(rising, confidence) * bins // max(len(rising), 1)
    inside = [place == index for index in np.unique(place)]
    return tuple(
        ReliabilityBin(float(confidence[rows].astype(np.float64).mean()), float(correct[rows].mean()), int(rows.sum()))
        for rows in inside
    )


def _slope_and_curvature(scores: Floats, inverse: float, mean_chosen: float) -> tuple[float, float]:
    """First and second derivative of the mean negative log-likelihood with respect to the inverse temperature."""
    weights = np.exp(scores * inverse)
    weights /= weights.sum(axis=1, keepdims=True)
    means = np.einsum("rl,rl->r", weights, scores)
    squares = np.einsum("rl,rl,rl->r", weights, scores, scores)
    return float(means.mean()) - mean_chosen, float((squares - means * means).mean())
