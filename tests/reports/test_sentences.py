"""The sentences promise what the certificate says, for each verdict."""

from __future__ import annotations

from dataclasses import replace

from stillhouse.bundle.certificate import PairedStatement
from stillhouse.reports import sentences
from stillhouse.reports.record import RunRecord


def test_a_student_that_falls_short_is_recommended_for_its_share(record: RunRecord):
    words = sentences.verdict_sentence(record.certificate)
    assert words.startswith("Let the student answer 83 % of the calls and the teacher the rest")
    assert "differs on 7.6 % of calls, where you allow 2 %" in words


def test_a_student_that_passes_says_how_bad_it_could_be(record: RunRecord):
    passed = replace(record.certificate, verdict="non-inferior", agreement=0.991, interval=(0.987, 0.994))
    words = sentences.verdict_sentence(passed)
    assert words.startswith("The student can take the teacher’s place")
    assert "at worst 1.3 % at 95 % confidence" in words
    assert sentences.cascade_promise(passed.cascade, passed.non_inferior).startswith(
        "Beside the teacher, it may answer 83 % of calls"
    )
    assert sentences.advice(replace(record, certificate=passed)) == ()


def test_too_few_rows_name_the_number_needed(record: RunRecord):
    unsure = replace(
        record.certificate, verdict="cannot tell", test_rows=40, needed_rows=189, agreement=1.0, interval=(0.912, 1.0)
    )
    words = sentences.verdict_sentence(unsure)
    assert "Too few calls" in words
    assert "40 sealed calls" in words
    assert "between 91.2 % and 100 %" in words
    assert "About 189 sealed calls would settle it." in words
    assert "about 189" in sentences.advice(replace(record, certificate=unsure))[0]


def test_without_a_threshold_nothing_is_recommended(record: RunRecord):
    cascade = replace(record.certificate.cascade, threshold=None, coverage=0.0, kept=0, needed_rows=150)
    alone = replace(record.certificate, cascade=cascade)
    assert sentences.verdict_sentence(alone).startswith("The student is not good enough to replace the teacher")
    assert "every call goes to the teacher" in sentences.cascade_promise(cascade)
    assert "about 150 calibration calls" in sentences.cascade_promise(cascade)
    assert sentences.cascade_measured(cascade) == ""


def test_the_promise_is_worded_as_guaranteed(record: RunRecord):
    assert sentences.cascade_promise(record.certificate.cascade).startswith(
        "It may answer 83 % of calls by itself with at most 2 % disagreement, guaranteed at 95 % confidence"
    )


def test_a_broken_promise_is_not_hidden(record: RunRecord):
    above = replace(record.certificate.cascade, kept_disagreement=0.023, kept_interval=(0.018, 0.029))
    assert "above the promised 2 %" in sentences.cascade_measured(above)
    broken = replace(above, kept_disagreement=0.03, kept_interval=(0.024, 0.037))
    assert "contradicts the promise" in sentences.cascade_measured(broken)


def test_true_answers_come_first_where_they_are_known(record: RunRecord):
    paired = PairedStatement(0.951, 0.955, -0.004, (-0.012, 0.004), 0.02, 3080, "paired bootstrap")
    certificate = replace(record.certificate, verdict="non-inferior", paired=paired)
    words = sentences.verdict_sentence(certificate)
    assert "right on 95.1 % of calls and the teacher on 95.5 %" in words
    assert "at worst 1.2 % behind" in words
    assert "between −1.2 and +0.4 points" in sentences.paired_sentence(certificate)


def test_no_rows_is_said_plainly(empty: RunRecord):
    assert sentences.verdict_sentence(empty.certificate).startswith("Nothing can be said yet")
