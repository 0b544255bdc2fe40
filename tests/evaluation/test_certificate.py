"""The certificate: every verdict region, the cascade's account, and what happens at the edges."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.bundle.certificate import Certificate
from stillhouse.evaluation.answers import Answers, Terms
from stillhouse.evaluation.binomial import clopper_pearson
from stillhouse.evaluation.certificate import certify, recertify
from stillhouse.evaluation.paired import tango_interval

TERMS = Terms()


def part(rows: int, wrong: int) -> Answers:
    """The least sure rows are wrong."""
    return Answers(np.arange(rows) >= wrong, np.linspace(0.2, 1.0, rows))


def judged(rows: int, wrong: int, terms: Terms = TERMS) -> Certificate:
    return certify(part(rows, wrong), part(500, 5), part(500, 5), terms, {})


@pytest.mark.parametrize(
    ("rows", "wrong", "verdict", "needed"),
    [
        (1000, 5, "non-inferior", None),  # the lower end clears 98%
        (183, 0, "non-inferior", None),  # the fewest rows that can
        (1000, 60, "not shown", None),  # the upper end is under 98%
        (1000, 25, "not shown", None),  # undecided, but what was observed is under 98%
        (1000, 20, "not shown", None),  # observed exactly on the bar
        (1000, 15, "cannot tell", 5_687),  # observed above the bar: more rows would settle it
        (40, 0, "cannot tell", 183),
        (40, 1, "cannot tell", 183),  # under the bar, but too few to have shown anything
        (40, 10, "cannot tell", 183),  # far under the bar, but no student could have passed on so few
        (1, 1, "cannot tell", 183),
        (3, 1, "cannot tell", 183),
        (0, 0, "cannot tell", 183),
    ],
)
def test_the_verdict_of_every_region(rows, wrong, verdict, needed):
    certificate = judged(rows, wrong)
    assert (certificate.verdict, certificate.needed_rows) == (verdict, needed)
    assert certificate.reason.endswith(".")
    assert needed is None or f"{needed:,}" in certificate.reason


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3000), st.floats(0, 0.1), st.sampled_from([0.005, 0.02, 0.1]), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_verdict_agrees_with_the_interval(rows, share, margin, confidence):
    wrong = int(rows * share)
    certificate = judged(rows, wrong, Terms(margin=margin, confidence=confidence))
    assert certificate.interval == clopper_pearson(rows - wrong, rows, confidence)
    assert certificate.non_inferior == (certificate.interval[0] >= 1 - margin)
    assert (certificate.verdict == "cannot tell") == (certificate.needed_rows is not None)
    assert certificate.needed_rows is None or certificate.needed_rows > rows
    if certificate.interval[1] < 1 - margin:
        could_pass = clopper_pearson(rows, rows, confidence)[0] >= 1 - margin
        assert certificate.verdict == ("not shown" if could_pass else "cannot tell")


def test_a_student_on_the_bar_seldom_passes():
    random = np.random.default_rng(0)
    passed = sum(judged(600, int(wrong)).non_inferior for wrong in random.binomial(600, 0.02, 1000))
    assert passed <= 42  # 2.5% of 1,000 draws; 42 is exceeded once in a thousand


def test_agreement_and_sizes_are_stated():
    certificate = certify(part(1000, 30), part(400, 8), part(300, 6), TERMS, {"seed": 7})
    assert certificate.agreement == 0.97
    assert certificate.test_rows == 1000
    assert certificate.provenance == {"seed": 7, "rows": {"selection": 300, "calibration": 400, "sealed": 1000}}


def test_the_cascade_is_measured_on_the_sealed_part():
    certificate = certify(part(1000, 100), part(1000, 100), part(1000, 100), TERMS, {})
    cascade = certificate.cascade
    sealed = part(1000, 100)
    keeps = sealed.confidence >= cascade.threshold
    assert 0.85 < cascade.coverage == np.mean(keeps) < 0.93
    assert cascade.kept == np.count_nonzero(keeps) == cascade.calibration_kept
    wrong = np.count_nonzero(~sealed.correct[keeps])
    assert cascade.kept_disagreement == wrong / cascade.kept
    assert cascade.kept_interval == clopper_pearson(wrong, cascade.kept, 0.95)
    assert (cascade.risk, cascade.confidence, cascade.calibration_rows) == (0.02, 0.95, 1000)
    assert cascade.needed_rows is None


def test_neighbouring_floats_fall_on_the_same_side_everywhere():
    sure = np.float32(0.9)
    confidence = np.repeat([np.nextafter(sure, np.float32(1)), sure], [400, 100])
    same = Answers(np.repeat([True, False], [400, 100]), confidence)
    cascade = certify(same, same, same, TERMS, {}).cascade
    assert (cascade.kept, cascade.calibration_kept) == (400, 400)
    assert [float(value) >= cascade.threshold for value in confidence[[0, -1]]] == [True, False]  # as served


def test_without_a_threshold_nothing_is_kept():
    cascade = certify(part(1000, 0), part(20, 0), part(20, 0), TERMS, {}).cascade
    assert (cascade.threshold, cascade.coverage, cascade.kept, cascade.kept_disagreement) == (None, 0.0, 0, 0.0)
    assert cascade.kept_interval == (0.0, 1.0)
    assert cascade.needed_rows == 149


@pytest.mark.parametrize("right", [True, False])
def test_all_right_and_all_wrong(right):
    every = Answers(np.full(500, right), np.full(500, 1.0, dtype=np.float32))
    certificate = certify(every, every, every, TERMS, {})
    assert certificate.agreement == float(right)
    assert certificate.verdict == ("non-inferior" if right else "not shown")
    assert certificate.cascade.coverage == float(right)


def test_empty_parts_still_make_a_certificate():
    nothing = part(0, 0)
    certificate = certify(nothing, nothing, nothing, TERMS, {})
    assert (certificate.agreement, certificate.interval) == (0.0, (0.0, 1.0))
    assert certificate.verdict == "cannot tell"
    assert certificate.cascade.threshold is None


def with_truth(rows: int, gained: int, lost: int) -> Answers:
    """True answers known: the student alone is right on `gained` rows, the teacher alone on `lost`."""
    student, teacher = np.ones(rows, bool), np.ones(rows, bool)
    teacher[:gained] = False
    student[gained : gained + lost] = False
    return Answers(student == teacher, np.linspace(0, 1, rows), student, teacher)


@pytest.mark.parametrize(
    ("rows", "gained", "lost", "verdict"),
    [
        (2000, 100, 100, "non-inferior"),  # they differ on 10% of rows, and neither is better
        (2000, 0, 200, "not shown"),
        (2000, 0, 50, "not shown"),
        (2000, 100, 130, "cannot tell"),
        (100, 0, 0, "cannot tell"),
    ],
)
def test_true_answers_decide_where_they_are_known(rows, gained, lost, verdict):
    sealed = with_truth(rows, gained, lost)
    certificate = certify(sealed, part(500, 5), part(500, 5), TERMS, {})
    assert certificate.verdict == verdict
    assert certificate.paired is not None
    assert certificate.paired.interval == tango_interval(gained, lost, rows, 0.95)
    assert certificate.agreement == pytest.approx(1 - (gained + lost) / rows)
    assert (certificate.needed_rows is not None) == (verdict == "cannot tell")
    assert "true answers" in certificate.reason


def test_truth_known_for_no_row_is_no_truth():
    none = np.zeros(0, bool)
    sealed = Answers(np.ones(300, bool), np.ones(300), none, none)
    assert certify(sealed, part(500, 5), part(500, 5), TERMS, {}).paired is None


@pytest.mark.parametrize("sealed", [part(1000, 10), with_truth(300, 2, 1)])
def test_it_survives_json(sealed):
    certificate = certify(sealed, part(1000, 10), part(1000, 10), TERMS, {"hash": "ab"})
    written = json.loads(json.dumps(certificate.to_json(), allow_nan=False))
    assert Certificate.from_json(written) == certificate
    assert written["non_inferior"] == certificate.non_inferior


def test_new_traffic_confirms_or_drops_the_threshold():
    kept = recertify(part(1000, 100), 0.4, TERMS, {"file": "new.jsonl"})
    assert kept.cascade.threshold == 0.4
    assert kept.cascade.coverage == 0.75
    assert kept.provenance == {"file": "new.jsonl", "rows": {"sealed": 1000}}
    dropped = recertify(part(1000, 100), 0.2, TERMS, {}).cascade
    assert (dropped.threshold, dropped.coverage) == (None, 0.0)
    assert "100 disagreements" in dropped.reason
    assert recertify(part(1000, 100), None, TERMS, {}).cascade.threshold is None


def test_it_is_quick():
    random = np.random.default_rng(0)
    sure = [random.random(10_000) for _ in range(3)]
    parts = [Answers(random.random(10_000) > 0.3 * (1 - u) ** 4, u.astype(np.float32)) for u in sure]
    started = time.perf_counter()
    for _ in range(5):
        certify(*parts, TERMS, {})
    assert (time.perf_counter() - started) / 5 < 0.2  # about 0.01 s on an idle machine
