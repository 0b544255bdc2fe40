"""The pictures show what they should, are well-formed, and are empty when there is nothing to show."""

from __future__ import annotations

import math
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from stillhouse.reports import charts
from stillhouse.reports.record import Curve, ReliabilityBin, RunRecord


def words(drawing: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(drawing).iter("text")]


@pytest.mark.parametrize("width", [340, 680, 928])
def test_every_rung_is_drawn_and_named(record: RunRecord, width: int):
    drawing = charts.pareto(record.rungs, record.chosen, 0.98, width)
    named = words(drawing)
    assert all(rung.name in named for rung in record.rungs)
    assert "the margin asks for 98 %" in named
    assert drawing.count('class="picked"') == 1
    assert drawing.count('class="rung"') == len(record.rungs) - 1


def test_the_area_of_a_circle_follows_the_bytes(record: RunRecord):
    pair = (replace(record.rungs[0], bytes=4_000_000), replace(record.rungs[1], bytes=1_000_000))
    circles = ElementTree.fromstring(charts.pareto(pair, "", None, 928)).iter("circle")
    large, small = sorted((float(c.get("r", 0)) for c in circles if c.get("class") == "rung"), reverse=True)
    assert large == pytest.approx(2 * small)


def test_one_rung_alone_can_be_drawn(record: RunRecord):
    perfect = replace(record.rungs[0].quality, agreement=1.0, agreement_interval=(1.0, 1.0))
    assert "words" in words(charts.pareto([replace(record.rungs[0], quality=perfect)], "words", None, 928))


def test_the_curve_shows_promise_and_certified_point(record: RunRecord):
    drawing = charts.risk_coverage(record.curve, record.certificate.cascade, 928)
    assert {"promised: at most 2 %", "student answers 83 %"} <= set(words(drawing))
    assert drawing.count('class="point"') == 1
    without = replace(record.certificate.cascade, threshold=None)
    assert 'class="point"' not in charts.risk_coverage(record.curve, without, 928)


@pytest.mark.parametrize("rows", [2, 100_000])
def test_a_curve_of_any_length_stays_small(record: RunRecord, rows: int):
    shares = tuple((index + 1) / rows for index in range(rows))
    curve = Curve(shares, tuple(share / 10 for share in shares))
    assert len(charts.risk_coverage(curve, record.certificate.cascade, 928)) < 20_000


def test_a_perfect_student_has_a_flat_curve(record: RunRecord):
    cascade = replace(record.certificate.cascade, coverage=1.0, kept_disagreement=0.0, kept_interval=(0.0, 0.001))
    assert "student answers 100 %" in words(charts.risk_coverage(Curve((0.5, 1.0), (0.0, 0.0)), cascade, 928))


def test_bins_of_confidence_are_drawn_once_each(record: RunRecord):
    drawing = charts.reliability((*record.reliability, ReliabilityBin(0.1, 0.2, 0)), 928)
    assert drawing.count("<circle") == len(record.reliability)


def test_hostile_names_stay_text(hostile: RunRecord):
    drawing = charts.pareto(hostile.rungs, hostile.chosen, None, 928)
    ElementTree.fromstring(drawing)
    assert "<script" not in drawing


def test_nothing_to_draw_is_empty(record: RunRecord, empty: RunRecord):
    assert charts.pareto(empty.rungs, "", 0.98, 928) == ""
    assert charts.pareto([], "", None, 928) == ""
    assert charts.risk_coverage(Curve((math.nan,), (0.0,)), record.certificate.cascade, 928) == ""
    assert charts.reliability([], 928) == ""
