"""`stillhouse data split`: every item has its part, in a version of its own."""

from __future__ import annotations

from tests.cli.datasets_for_tests import told, told_json

__all__ = ["told", "told_json"]


def test_every_item_has_its_part(told_json):
    result = told_json("split", "support", "--shares", "train=0.5,test=0.5")
    assert result["reference"] == "support@2"
    assert sum(result["rows"].values()) == 60
    for name, count in result["rows"].items():
        assert told_json("filter", "support@2", "--split", name)["found"] == count
    assert result["step"]["settings"] == {"seed": 0, "shares": {"train": 0.5, "test": 0.5}}


def test_wrong_shares_are_wrong_use(told, told_json):
    assert told("split", "support", "--shares", "train=0.9")[0] == 2


def test_people_see_how_many(told, told_json):
    assert "train" in told("split", "support", "--to", "parted")[1]
