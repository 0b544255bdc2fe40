"""The largest share of traffic a student may keep: a threshold with a finite-sample guarantee, and the curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stillhouse.evaluation.answers import Answers, Bools, Floats, Terms
from stillhouse.evaluation.binomial import at_least, at_most, rows_needed, rows_without_failure

__all__ = ["METHOD", "Promise", "certify_threshold", "risk_coverage", "verify_threshold"]

METHOD = "Learn-then-Test, fixed sequence, exact binomial tests"
CANDIDATES = 50
"""Thresholds in the sequence: more would follow the curve closer but meet more chances to stop early."""
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Promise:
    """A certified threshold, or None, and what was seen while looking for it."""

    threshold: float | None
    kept: int
    """Calibration rows kept at the threshold."""
    needed_rows: int | None
    """Calibration rows that would be needed, when nothing could be certified but more rows would help."""
    reason: str


def certify_threshold(selection: Answers, calibration: Answers, terms: Terms) -> Promise:
    """The loosest threshold at which kept answers (confidence >= threshold) provably stay within the risk.

    Learn-then-Test with a fixed sequence (Angelopoulos, Bates, Candes, Jordan & Lei, "Learn then Test:
    calibrating predictive algorithms to achieve risk control", 2021). For each threshold the hypothesis "kept
    answers disagree more often than `risk`" is tested on calibration rows by its exact binomial p-value,
    P(Binomial(kept, risk) <= disagreements). Thresholds are tested in an order fixed beforehand, each at the full
    level 1 - confidence, and the first that fails ends the walk. A false promise needs the first true hypothesis
    of the order to be rejected, so it happens in at most 1 - confidence of all calibration draws, whether or
    not disagreement falls as confidence grows.

    The order comes from the selection rows alone: their quantiles of confidence, from the threshold with the
    strongest evidence to keep within the risk, (risk - share of disagreement) sqrt(kept), towards the loosest.
    Starting there and not at the strictest matters: few rows lie above a strict threshold, and the walk would
    end at once. In simulations one such start kept more than several that divide the level among them, and 50
    thresholds as much as all.
    """
    thresholds = _candidates(selection.confidence)
    start = _start(selection, thresholds, len(calibration), terms)
    kept, wrong = _count(calibration, thresholds)
    passed = None
    for index in range(start, len(thresholds)):
        if at_most(int(wrong[index]), int(kept[index]), terms.risk) > 1.0 - terms.confidence:
            break
        passed = index
    if passed is None:
        return _refuse(selection, calibration, float(thresholds[start]), terms)
    reason = (
        f"Of {len(calibration):,} calibration rows {kept[passed]:,} are kept with {wrong[passed]:,} disagreements: "
        f"with {_percent(terms.confidence)} confidence at most {_percent(terms.risk)} of kept answers disagree."
    )
    return Promise(float(thresholds[passed]), int(kept[passed]), None, reason)


def verify_threshold(answers: Answers, threshold: float, terms: Terms) -> Promise:
    """Test one threshold, fixed before these rows were seen, by the same exact test."""
    rows, doubt = len(answers), 1.0 - terms.confidence
    kept, wrong = (int(counts[0]) for counts in _count(answers, np.array([threshold])))
    seen = f"At the threshold {threshold:.4f} the student keeps {kept:,} of {rows:,} rows with {wrong:,} disagreements"
    bound = f"at most {_percent(terms.risk)} with {_percent(terms.confidence)} confidence"
    if kept and at_most(wrong, kept, terms.risk) <= doubt:
        return Promise(threshold, kept, None, f"{seen}, which still shows {bound}.")
    if kept and at_least(wrong, kept, terms.risk) <= doubt:
        return Promise(None, 0, None, f"{seen}, which contradicts {bound}: more rows like these will not mend it.")
    fewest = rows_without_failure(terms.risk, terms.confidence)
    if kept < fewest:
        needed = math.ceil(fewest * rows / kept) if kept else None
        advice = f"{fewest:,} kept rows could" + (f", of about {needed:,} in all" if needed else "")
        return Promise(None, 0, needed, f"{seen}; so few cannot show {bound}, whatever the answers; {advice}.")
    needed = _rows_needed((answers,), threshold, terms)
    advice = f"about {needed:,} rows like these would" if needed else "more rows like these are unlikely to"
    return Promise(None, 0, needed, f"{seen}, which does not show {bound}; {advice}.")


def risk_coverage(correct: Bools, confidence: Floats) -> tuple[Floats, Floats]:
    """Coverage and disagreement among kept rows, at every distinct confidence [distinct], strictest first.

    Both are shares 0..1; rows of equal confidence enter together. Without rows both are empty.
    """
    if not len(correct):
        return np.zeros(0), np.zeros(0)
    thresholds = np.unique(confidence)[::-1]
    kept, wrong = _count(Answers(correct, confidence), thresholds)
    return kept / len(correct), wrong / kept


def _candidates(confidence: Floats) -> NDArray[np.float64]:
    """Falling thresholds half-way between neighbouring confidences, evenly spread over the rows; the last is 0.

    Half-way, so that the last bits of a confidence, which may change with batch size or machine, decide nothing.
    """
    rising = np.sort(confidence.astype(np.float64))
    ranks = np.unique(np.linspace(0, len(rising), CANDIDATES + 1).round().astype(np.int64))[1:-1]
    distinct, first = np.unique(rising, return_index=True)
    steps = np.unique(np.searchsorted(first, ranks))
    steps = steps[(steps > 0) & (steps < len(distinct))]
    return np.append(((distinct[steps - 1] + distinct[steps]) / 2.0)[::-1], 0.0)


def _count(answers: Answers, thresholds: Floats) -> tuple[Counts, Counts]:
    """Rows kept, and disagreements among them, at each threshold."""
    order = np.argsort(-answers.confidence, kind="stable")
    wrong = np.concatenate(([0], np.cumsum(~answers.correct[order])))
    kept = np.searchsorted(-answers.confidence[order], -thresholds, side="right")
    return kept, wrong[kept]


def _start(selection: Answers, thresholds: Floats, calibration_rows: int, terms: Terms) -> int:
    """Where the selection rows promise the most evidence, among thresholds that should keep rows enough to test."""
    kept, wrong = _count(selection, thresholds)
    evidence = (terms.risk - (wrong + 0.5) / (kept + 1.0)) * np.sqrt(kept)
    expected = kept * (calibration_rows / max(len(selection), 1))
    evidence[expected < rows_without_failure(terms.risk, terms.confidence)] = -np.inf
    return int(np.argmax(evidence)) if np.isfinite(evidence).any() else len(thresholds) - 1


def _refuse(selection: Answers, calibration: Answers, threshold: float, terms: Terms) -> Promise:
    """No promise, and how many calibration rows would allow one at this threshold with 80% power."""
    rows, fewest = len(calibration), rows_without_failure(terms.risk, terms.confidence)
    risk, sure = _percent(terms.risk), _percent(terms.confidence)
    if rows < fewest:
        reason = (
            f"{rows:,} rows are too few to promise a disagreement of at most {risk}, whatever the answers; "
            f"at least {fewest:,} are needed."
        )
        return Promise(None, 0, fewest, reason)
    kept, wrong = (int(counts[0]) for counts in _count(calibration, np.array([threshold])))
    needed = _rows_needed((calibration, selection), threshold, terms)
    advice = f"about {needed:,} rows would be needed" if needed else "it is too often wrong where it is sure"
    reason = (
        f"At the threshold {threshold:.4f} the student keeps {kept:,} of {rows:,} rows with {wrong:,} disagreements, "
        f"which does not show at most {risk} with {sure} confidence; {advice}."
    )
    return Promise(None, 0, needed, reason)


def _rows_needed(parts: Sequence[Answers], threshold: float, terms: Terms) -> int | None:
    """Rows that would pass the test at a threshold, from what all parts say about it; more than the first part has."""
    counts = [_count(part, np.array([threshold])) for part in parts]
    kept = int(sum(part[0][0] for part in counts))
    wrong = int(sum(part[1][0] for part in counts))
    passing = rows_needed((wrong + 0.5) / (kept + 1.0), terms.risk, terms.confidence)
    if passing is None or kept == 0:
        return None
    return max(math.ceil(passing * sum(map(len, parts)) / kept), len(parts[0]) + 1)


def _percent(share: float) -> str:
    return f"{100.0 * share:.4g}%"
