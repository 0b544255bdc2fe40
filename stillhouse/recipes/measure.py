"""Every candidate measured as it will be served, and the one to certify chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stillhouse.evaluation import fidelity
from stillhouse.evaluation.answers import Answers, Terms
from stillhouse.evaluation.binomial import clopper_pearson
from stillhouse.evaluation.calibration import expected_calibration_error
from stillhouse.evaluation.efficiency import Pace
from stillhouse.evaluation.selective import risk_coverage
from stillhouse.inference.onnx_student import likeliest, shares
from stillhouse.recipes.stages import Candidate
from stillhouse.reports.record import Quality, RungRecord, Speed
from stillhouse.training.lessons import Floats, Labels, Part

__all__ = ["Choice", "Measured", "Said", "answer_part", "choose", "judge", "measure"]

NEARLY = 0.02
"""Coverage within this of the best is as good: the cheaper student is taken."""


@dataclass(frozen=True)
class Said:
    """A student's answers to a part: `predicted` `[rows, fields]` and `confidence` `[rows]`."""

    predicted: Labels
    confidence: Floats


@dataclass(frozen=True)
class Measured:
    """A candidate and how it did on the selection part."""

    candidate: Candidate
    answers: Answers
    record: RungRecord


@dataclass(frozen=True)
class Choice:
    """The student to certify, and why in one sentence."""

    name: str
    reason: str


def answer_part(logits: Floats, sizes: Sequence[int], temperatures: Sequence[float]) -> Said:
    """Labels and confidence from raw scores: confidence is the product over fields of the likeliest label's share."""
    return Said(*likeliest(shares(logits, sizes, temperatures)))


def judge(said: Said, part: Part) -> Answers:
    """What was said against the teacher's labels, and against the truth on the rows where it is known."""
    return fidelity.judge(said.predicted, said.confidence, part.labels, part.truths)


def measure(candidate: Candidate, pace: Pace, selection: Part, sizes: Sequence[int], terms: Terms) -> Measured:
    """Quality on the selection part by the exported student; speed as timed before."""
    said = answer_part(candidate.scores, sizes, candidate.temperatures)
    answers = judge(said, selection)
    faithful = fidelity.measure_fidelity(said.predicted, selection.labels, sizes)
    rows = len(selection)
    quality = Quality(
        agreement=faithful.agreement,
        agreement_interval=clopper_pearson(rows - answers.disagreements, rows, terms.confidence),
        macro_f1=float(np.mean([field.macro_f1 for field in faithful.fields])),
        ece=expected_calibration_error(answers.confidence, answers.correct),
        coverage_at_risk=_coverage(answers, terms.risk),
        rows=rows,
    )
    record = RungRecord(
        name=candidate.rung.name,
        quality=quality,
        speed=Speed(pace.load_ms, pace.latency_ms_p50, pace.latency_ms_p95, pace.throughput_per_s),
        bytes=sum(path.stat().st_size for path in candidate.served_files),
        parameters=candidate.parameters,
        train_seconds=candidate.artifact.seconds,
        precision=candidate.precision,
        note="int8 changed too many answers" if candidate.precision == "float32" else "",
    )
    return Measured(candidate, answers, record)


def choose(ladder: Sequence[Measured], terms: Terms) -> Choice:
    """The cheapest rung that looks non-inferior; else the cheapest of those that may keep most; else the best.

    Only selection rows decide, so that calibration and sealed rows stay unseen; `ladder` is cheapest first.
    """
    bar = 1 - terms.margin
    for rung in ladder:
        if rung.record.quality.agreement_interval[0] >= bar:
            return Choice(rung.record.name, f"the cheapest that surely agrees on at least {bar:.1%} of selection rows")
    most = max(rung.record.quality.coverage_at_risk for rung in ladder)
    if most > 0:
        chosen = next(rung for rung in ladder if rung.record.quality.coverage_at_risk >= most - NEARLY)
        return Choice(
            chosen.record.name,
            f"none surely agrees on {bar:.1%}; it is the cheapest of those that may keep most calls "
            f"at {terms.risk:.1%} risk",
        )
    best = max(ladder, key=lambda rung: rung.record.quality.agreement)
    return Choice(best.record.name, "none is good enough yet; it agrees most often")


def _coverage(answers: Answers, risk: float) -> float:
    """The largest share of rows that may be kept so that, among them, disagreement stays within the risk."""
    coverage, disagreement = risk_coverage(answers.correct, answers.confidence)
    within = coverage[disagreement <= risk]
    return float(within.max()) if len(within) else 0.0
