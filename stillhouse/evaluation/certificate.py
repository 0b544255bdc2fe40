"""The certificate of a student: agreement, non-inferiority, and a cascade with a guaranteed risk.

The verdict is read from a two-sided interval [low, high] and the bar it has to clear: agreement of 1 - margin
with the teacher, or, where true answers are known, an accuracy at most `margin` under the teacher's.

    low >= bar                                     non-inferior
    rows too few to show it even if perfect        cannot tell: the rows that could
    high < bar                                     not shown: the student is worse than the margin allows
    low < bar <= high, observed above the bar      cannot tell: more rows would settle it, and how many
    low < bar <= high, observed not above it       not shown: more rows are not likely to help

Using the lower end of the two-sided interval makes the test stricter than its name: a student that misses the bar
passes in at most (1 - confidence) / 2 of all draws. Every statement holds for one student fixed before the
sealed rows are looked at, for calls drawn like them, and at `confidence` each, not jointly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stillhouse.bundle.certificate import CascadeStatement, Certificate, PairedStatement, Verdict
from stillhouse.evaluation.answers import Answers, Terms
from stillhouse.evaluation.binomial import clopper_pearson, rows_needed, rows_without_failure
from stillhouse.evaluation.paired import compare_paired, fewest_pairs, pairs_needed
from stillhouse.evaluation.selective import METHOD, Promise, certify_threshold, verify_threshold

__all__ = ["certify", "recertify"]

Interval = tuple[float, float]
Finding = tuple[Verdict, int | None, str]
"""The verdict, the rows that would settle it, and why."""


@dataclass(frozen=True)
class Claim:
    """What was observed, its interval, the bar to clear, and the fewest rows with which it could be cleared."""

    observed: str
    measure: str
    interval: Interval
    bar: float
    rows: int
    fewest: int


def certify(
    sealed: Answers, calibration: Answers, selection: Answers, terms: Terms, provenance: Mapping[str, Any]
) -> Certificate:
    """Everything that can be said of a student that answers these three independent parts of its traffic.

    Agreement and the verdict come from the sealed part; the cascade's threshold is ordered by the selection part,
    certified on the calibration part and measured on the sealed part. Any part may be empty.
    """
    promise = certify_threshold(selection, calibration, terms)
    rows = {"selection": len(selection), "calibration": len(calibration), "sealed": len(sealed)}
    return _certificate(sealed, _cascade(sealed, promise, len(calibration), terms), terms, {**provenance, "rows": rows})


def recertify(fresh: Answers, threshold: float | None, terms: Terms, provenance: Mapping[str, Any]) -> Certificate:
    """The certificate repeated on new traffic, for a student and a threshold fixed before.

    One hypothesis needs no sequence: all fresh rows test the threshold, which is dropped if they do not confirm it.
    """
    if threshold is None:
        promise = Promise(None, 0, None, "The bundle has no certified threshold to test.")
    else:
        promise = verify_threshold(fresh, threshold, terms)
    cascade = _cascade(fresh, promise, len(fresh), terms, method="exact binomial test of a threshold fixed before")
    return _certificate(fresh, cascade, terms, {**provenance, "rows": {"sealed": len(fresh)}})


def _certificate(
    sealed: Answers, cascade: CascadeStatement, terms: Terms, provenance: Mapping[str, Any]
) -> Certificate:
    paired = _paired(sealed, terms)
    interval = clopper_pearson(len(sealed) - sealed.disagreements, len(sealed), terms.confidence)
    verdict, needed, reason = _judge_paired(paired, terms) if paired else _judge_agreement(sealed, interval, terms)
    return Certificate(
        agreement=1.0 - sealed.disagreements / len(sealed) if len(sealed) else 0.0,
        interval=interval,
        confidence=terms.confidence,
        margin=terms.margin,
        verdict=verdict,
        test_rows=len(sealed),
        needed_rows=needed,
        reason=reason,
        cascade=cascade,
        paired=paired,
        provenance=dict(provenance),
    )


def _cascade(
    sealed: Answers, promise: Promise, calibration_rows: int, terms: Terms, method: str = METHOD
) -> CascadeStatement:
    """The promise, and what the sealed rows show of it."""
    keeps = sealed.confidence >= np.float64(np.inf if promise.threshold is None else promise.threshold)
    kept = int(np.count_nonzero(keeps))
    wrong = int(np.count_nonzero(keeps & ~sealed.correct))
    return CascadeStatement(
        risk=terms.risk,
        confidence=terms.confidence,
        threshold=promise.threshold,
        coverage=kept / len(sealed) if kept else 0.0,
        kept=kept,
        kept_disagreement=wrong / kept if kept else 0.0,
        kept_interval=clopper_pearson(wrong, kept, terms.confidence),
        calibration_rows=calibration_rows,
        calibration_kept=promise.kept,
        needed_rows=promise.needed_rows,
        reason=promise.reason,
        method=method,
    )


def _paired(sealed: Answers, terms: Terms) -> PairedStatement | None:
    if sealed.student_right is None or sealed.teacher_right is None or not len(sealed.student_right):
        return None
    return compare_paired(sealed.student_right, sealed.teacher_right, terms.confidence)


def _judge_agreement(sealed: Answers, interval: Interval, terms: Terms) -> Finding:
    """The verdict where the teacher's answer is all there is to compare with."""
    rows, wrong, each = len(sealed), sealed.disagreements, (1.0 + terms.confidence) / 2.0
    claim = Claim(
        f"Student and teacher agree on {rows - wrong:,} of {rows:,} sealed rows" if rows else "No row was sealed",
        "agreement",
        interval,
        bar=1.0 - terms.margin,
        rows=rows,
        fewest=rows_without_failure(terms.margin, each),
    )
    return _judge(claim, lambda: rows_needed(wrong / rows, terms.margin, each) if rows else None)


def _judge_paired(paired: PairedStatement, terms: Terms) -> Finding:
    """The verdict where true answers say who is right."""
    claim = Claim(
        f"On {paired.rows:,} sealed rows with true answers the student is right in {paired.student_accuracy:.2%} "
        f"and the teacher in {paired.teacher_accuracy:.2%}",
        "difference",
        paired.interval,
        bar=-terms.margin,
        rows=paired.rows,
        fewest=fewest_pairs(terms.margin, terms.confidence),
    )
    return _judge(claim, lambda: pairs_needed(paired, terms.margin, terms.confidence))


def _judge(claim: Claim, more: Callable[[], int | None]) -> Finding:
    """The table at the top of this file; `more` gives the rows that the observed rate would need."""
    low, high = claim.interval
    bar, interval = f"the bar of {100.0 * claim.bar:.4g}%", f"the {claim.measure}'s interval, {low:.2%} to {high:.2%},"
    if low >= claim.bar:
        return "non-inferior", None, f"{claim.observed}; {interval} clears {bar} with its lower end."
    needed = more()
    if claim.rows < claim.fewest:
        needed = max(needed or 0, claim.fewest)
        why = f"so few sealed rows cannot show that {bar} is cleared, whatever the answers; {needed:,} might."
        return "cannot tell", needed, f"{claim.observed}; {why}"
    if high < claim.bar:
        return "not shown", None, f"{claim.observed}; {interval} lies wholly under {bar}."
    if needed is not None:
        needed = max(needed, claim.rows + 1)
        why = f"{interval} contains {bar}, and about {needed:,} sealed rows would settle it."
        return "cannot tell", needed, f"{claim.observed}; {why}"
    why = f"{interval} reaches {bar}, but more rows alone are unlikely to clear it."
    return "not shown", None, f"{claim.observed}; {why}"
