"""`stillhouse data list`: all versions and kept filters, or how to begin."""

from __future__ import annotations

from tests.cli.datasets_for_tests import told, told_json

__all__ = ["told", "told_json"]


def test_without_datasets_it_says_how_to_begin(told):
    assert "stillhouse data import" in told("list")[1]


def test_versions_and_filters_are_listed(told, told_json):
    told_json("filter", "support", "--model", "m1", "--to", "ones", "--save", "ones")
    listed = told_json("list")
    assert [version["reference"] for version in listed["versions"]] == ["ones@1", "support@1"]
    assert listed["filters"] == ["ones"]
    shown = told("list")[1]
    assert "support@1  60 items  import" in shown
    assert "Filters that are kept: ones" in shown
