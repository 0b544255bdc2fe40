"""`stillhouse data diff`: what was added, removed and changed."""

from __future__ import annotations

from tests.cli.datasets_for_tests import told, told_json

__all__ = ["told", "told_json"]


def test_two_versions_are_compared(told, told_json):
    told_json("filter", "support", "--model", "m1", "--to", "ones")
    told_json("split", "support")
    gone = told_json("diff", "support@1", "ones")
    assert (gone["same"], gone["added"], gone["removed"], gone["changed"]) == (30, 0, 30, 0)
    assert len(gone["first_removed"]) == 10
    parted = told_json("diff", "support@1", "support@2", "--rows", "1")
    assert (parted["changed"], parted["fields"]) == (60, {"split": 60})
    assert len(parted["first_changed"]) == 1
    words = told("diff", "support@1", "support@2")[1]
    assert "0 the same, 0 added, 0 removed, 60 changed" in words
    assert "changed in split: 60" in words
