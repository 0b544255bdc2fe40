"""`stillhouse data show`: how a version was made, and its first items."""

from __future__ import annotations

from tests.cli.datasets_for_tests import told, told_json

__all__ = ["told", "told_json"]


def test_a_version_and_its_items_are_shown(told, told_json):
    shown = told_json("show", "support", "--rows", "2")
    assert (shown["reference"], shown["items"], len(shown["shown"])) == ("support@1", 60, 2)
    assert shown["step"]["verb"] == "import"
    assert {"id", "messages", "answer", "facts", "source"} <= set(shown["shown"][0])
    words = told("show", "support@1", "--rows", "1")[1]
    assert shown["hash"] in words
    assert '  files  [{"bytes":' in words
    assert "where is parcel 0 of mine  →  delivery" in words


def test_what_was_left_out_is_none_here(told_json):
    assert told_json("show", "support", "--dropped")["shown"] == []
