"""The tables of feedback are among those that every database has."""

from __future__ import annotations

from stillhouse.storage import feedback_tables, tables


def test_they_are_among_all_tables():
    for name in feedback_tables.__all__:
        assert getattr(tables, name) is getattr(feedback_tables, name)
        assert getattr(tables, name).metadata is tables.METADATA
