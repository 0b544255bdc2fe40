from __future__ import annotations

import json

import pytest

from stillhouse.data.bad_rows import BadRows
from stillhouse.errors import BadRow, TrafficError


def test_all_are_told_in_one_error_the_first_by_name():
    bad = BadRows()
    for line in range(1, 13):
        bad.add(BadRow("a.jsonl", line, "it is torn"), b"{")
    with pytest.raises(TrafficError, match=r"12 rows cannot be used:\n  a.jsonl, line 1: it is torn(.|\n)*and 2 more"):
        bad.refuse()
    BadRows().refuse()


def test_skipped_ones_are_counted_by_reason_and_kept_aside(tmp_path):
    aside = tmp_path / "deep" / "aside.jsonl"
    bad = BadRows(skip=True, aside=aside)
    bad.add(BadRow("a.jsonl", 3, "it is torn"), b'{"a"\n')
    bad.add(BadRow("a.png", 0, "it is no picture"), b"")
    bad.pass_over("span")
    bad.refuse()
    assert (bad.count, bad.reasons["it is torn"], bad.passed) == (2, 1, {"span": 1})
    first, second = (json.loads(line) for line in aside.read_text().splitlines())
    assert first == {"file": "a.jsonl", "line": 3, "reason": "it is torn", "row": '{"a"'}
    assert second["line"] == 0
    assert "a.png: it is no picture" in bad.listed()


def test_reasons_without_end_are_counted_as_others():
    bad = BadRows(skip=True)
    for line in range(1, 201):
        bad.add(BadRow("a", line, f"reason {line}"), b"")
    assert (len(bad.reasons), bad.reasons["other reasons"], bad.count) == (101, 100, 200)
