"""The record of a compression is plain JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from stillhouse.reports.compression_record import GoalRecord, TestRecord


def test_quality_lost_is_what_the_whole_model_has_more():
    found = TestRecord(0.9, 0.93, 0.95, {})
    assert round(found.drop, 6) == 0.03


def test_what_was_not_asked_for_is_null():
    told = json.loads(json.dumps(asdict(GoalRecord(1e6, None, None, 2e5, 0.1))))
    assert (told["bytes"], told["ms"], told["drop"]) == (1e6, None, None)
