"""Marks of erasures: they add up, say what a student learnt from, and keep a withdrawn one from serving."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.bundle.erased import FILE, Mark, add_mark, marks_told, read_marks, refuse_withdrawn
from stillhouse.errors import BundleError

MARK = Mark("erasure-1", "2026-11-22T05:00:00Z", "support@1", 3, "support@2")


def test_a_student_without_marks_serves(tmp_path):
    refuse_withdrawn(tmp_path)
    assert read_marks(tmp_path) == []


def test_marks_add_up_and_the_same_erasure_is_told_once(tmp_path):
    add_mark(tmp_path, MARK)
    add_mark(tmp_path, MARK)
    add_mark(tmp_path, replace(MARK, erasure="erasure-2"))
    assert [mark.erasure for mark in read_marks(tmp_path)] == ["erasure-1", "erasure-2"]
    refuse_withdrawn(tmp_path)


def test_a_withdrawn_student_does_not_serve_and_says_why(tmp_path):
    add_mark(tmp_path, replace(MARK, withdrawn=True))
    with pytest.raises(BundleError, match=r"withdrawn.*support@1.*3 rows.*erasure-1"):
        refuse_withdrawn(tmp_path)


def test_who_serves_a_marked_student_is_told_of_each_erasure(tmp_path):
    (tmp_path / "other").mkdir()
    add_mark(tmp_path, MARK)
    [told] = marks_told([tmp_path, tmp_path / "other"])
    assert all(part in told for part in (str(tmp_path), "support@1", "3 rows", "erasure-1"))


def test_damaged_marks_are_told(tmp_path):
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(BundleError, match="damaged"):
        read_marks(tmp_path)
