"""What a certificate says, in sentences that promise no more than it does."""

from __future__ import annotations

from stillhouse.bundle.certificate import CascadeStatement, Certificate
from stillhouse.reports.figures import count, percent, shorten, whole_percent
from stillhouse.reports.record import RunRecord

__all__ = ["advice", "cascade_measured", "cascade_promise", "paired_sentence", "verdict_sentence"]


WORTHWHILE = 0.05
"""Below this share of kept calls the headline does not recommend a cascade."""


def verdict_sentence(certificate: Certificate) -> str:
    """The verdict as one sentence for someone who reads nothing else."""
    if not certificate.test_rows:
        return "Nothing can be said yet: no calls were left to test the student on."
    if certificate.verdict == "cannot tell":
        needed = certificate.needed_rows
        more = f" About {count(needed)} sealed calls would settle it." if needed else ""
        return (
            f"Too few calls to tell whether the student can replace the teacher: on {count(certificate.test_rows)} "
            f"sealed calls it agrees on {_between(certificate)}.{more}"
        )
    evidence = _evidence(certificate)
    if certificate.non_inferior:
        return f"The student can take the teacher’s place: {evidence}."
    cascade = certificate.cascade
    if cascade.threshold is not None and cascade.coverage >= WORTHWHILE:
        kept = percent(cascade.coverage, 0)
        return f"Let the student answer {kept} of the calls and the teacher the rest: alone, {evidence}."
    return f"The student is not good enough to replace the teacher: {evidence}."


def _between(certificate: Certificate) -> str:
    low, high = certificate.interval
    return f"between {percent(low)} and {percent(high)}"


def _evidence(certificate: Certificate) -> str:
    allowed, confidence = whole_percent(certificate.margin), whole_percent(certificate.confidence)
    paired = certificate.paired
    if paired is not None:
        return (
            f"it is right on {percent(paired.student_accuracy)} of calls and the teacher on "
            f"{percent(paired.teacher_accuracy)}, at worst {percent(max(-paired.interval[0], 0.0))} behind at "
            f"{confidence} confidence, where you allow {allowed}"
        )
    differs = 1 - certificate.agreement
    worst = f", at worst {percent(1 - certificate.interval[0])} at {confidence} confidence"
    close = differs <= certificate.margin
    return f"it differs on {percent(differs)} of calls{worst if close else ''}, where you allow {allowed}"


def cascade_promise(cascade: CascadeStatement, passed: bool = False) -> str:
    """What the student may answer by itself, or why it may not; `passed` when it may also do without the teacher."""
    risk, confidence = whole_percent(cascade.risk), whole_percent(cascade.confidence)
    if cascade.threshold is None:
        needed = cascade.needed_rows
        more = f" It would take about {count(needed)} calibration calls to certify one." if needed else ""
        return (
            f"No share of the calls could be certified for at most {risk} disagreement at {confidence} confidence, "
            f"so beside a teacher every call goes to the teacher.{more}"
        )
    start = "Beside the teacher, it" if passed else "It"
    rest = "; the other calls go to the teacher" if cascade.coverage < 1 else ""
    return (
        f"{start} may answer {percent(cascade.coverage, 0)} of calls by itself with at most {risk} disagreement, "
        f"guaranteed at {confidence} confidence{rest}."
    )


def cascade_measured(cascade: CascadeStatement) -> str:
    """What the sealed rows showed at the threshold; says so when they exceed the promise."""
    if cascade.threshold is None or not cascade.kept:
        return ""
    low, high = cascade.kept_interval
    seen = (
        f"Checked on the sealed part: at confidence {cascade.threshold:.3f} or more it kept {count(cascade.kept)} "
        f"calls and disagreed on {percent(cascade.kept_disagreement)} of them "
        f"(interval {percent(low)} to {percent(high)})"
    )
    if low > cascade.risk:
        return f"{seen}, which contradicts the promise: the sealed calls differ from those it was calibrated on."
    if cascade.kept_disagreement > cascade.risk:
        return f"{seen}, above the promised {whole_percent(cascade.risk)} yet within what chance explains."
    return f"{seen}."


def paired_sentence(certificate: Certificate) -> str:
    """Student against teacher where true answers are known; empty when they are not."""
    paired = certificate.paired
    if paired is None:
        return ""
    low, high = (f"{100 * end:+.1f}".replace("-", "−") for end in paired.interval)
    return (
        f"On {count(paired.rows)} calls whose true answer is known the student is right "
        f"{percent(paired.student_accuracy)} of the time and the teacher "
        f"{percent(paired.teacher_accuracy)}: the difference lies between {low} and {high} "
        f"points ({paired.method})."
    )


def advice(record: RunRecord) -> tuple[str, ...]:
    """What would help a student that did not pass, most useful first; empty when it passed."""
    certificate, found = record.certificate, list[str]()
    if certificate.non_inferior:
        return ()
    if certificate.needed_rows and certificate.verdict == "cannot tell":
        found.append(
            f"Record more calls: about {count(certificate.needed_rows)} sealed ones settle the verdict, "
            f"{count(certificate.test_rows)} were there."
        )
    if certificate.cascade.threshold is None and certificate.cascade.needed_rows:
        found.append(
            f"For a guaranteed cascade, have about {count(certificate.cascade.needed_rows)} calibration calls; "
            f"{count(certificate.cascade.calibration_rows)} were there."
        )
    if record.confusions:
        worst = record.confusions[0]
        found.append(
            f"Look at the labels it confuses most: where the teacher says “{shorten(worst.teacher_label, 60)}” the "
            f"student says “{shorten(worst.student_label, 60)}” ({count(worst.count)} times). More calls "
            "with these two labels help, or a clearer line between them in the teacher’s prompt."
        )
    return tuple(found)
