"""`stillhouse data filter`: conditions are put together, filters kept, and what was found becomes a version."""

from __future__ import annotations

import pytest

from tests.cli.datasets_for_tests import told, told_json

__all__ = ["told", "told_json"]


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ([], 60),
        (["--model", "m1"], 30),
        (["--model", "m0", "--model", "m1"], 60),
        (["--where", "team=t1"], 20),
        (["--where", "team=t1", "--model", "m1"], 10),
        (["--match", "REFUND"], 30),
        (["--answer", "deliv"], 30),
        (["--since", "1000010", "--until", "1000020"], 10),
        (["--label", ""], 60),
        (["--longer", "1000"], 0),
        (["--grade", "0.5.."], 0),
    ],
    ids=str,
)
def test_conditions_narrow_what_is_found(conditions, found, told_json):
    result = told_json("filter", "support", *conditions)
    assert (result["found"], result["items"], result["version"]) == (found, 60, None)
    assert len(result["shown"]) == min(5, found)


def test_what_was_found_becomes_a_version(told, told_json):
    result = told_json("filter", "support", "--model", "m1", "--to", "ones", "--rows", "0")
    version = result["version"]
    assert (version["reference"], version["items"]) == ("ones@1", 30)
    assert version["step"]["settings"] == {"filter": {"equal": {"model": ["m1"]}}}
    assert version["step"]["counts"] == {"kept": 30, "not-wanted": 30}
    assert version["step"]["parents"] == ["support@1"]
    assert told_json("filter", "ones")["found"] == 30
    code, words = told("filter", "support", "--model", "m9", "--to", "nothing")
    assert code == 2
    assert "nothing to keep" in words


def test_what_a_filter_left_out_is_shown_and_comes_back(told, told_json):
    whole = told_json("show", "support")["hash"]
    assert "restore ones@1 --reason all" in told("filter", "support", "--model", "m1", "--to", "ones")[1]
    left = told_json("show", "ones", "--dropped", "--rows", "100")["shown"]
    assert {item["reason"] for item in left} == {"not-wanted"}
    assert [item["source"]["row"] for item in left] == list(range(1, 61, 2))
    one = told_json("restore", "ones@1", "--item", left[3]["id"])
    assert (one["items"], one["dropped"]) == (31, 29)
    assert told_json("restore", "ones@1", "--reason", "all")["hash"] == whole
    assert told_json("restore", "ones@2", "--reason", "all")["hash"] == whole


def test_the_likest_are_shown_first(told_json):
    result = told_json("filter", "support", "--like", "where is parcel 15838 of mine", "--near", "0.1", "--rows", "2")
    assert result["shown"][0]["likeness"] == pytest.approx(1, abs=1e-3)
    assert result["shown"][0]["likeness"] > result["shown"][1]["likeness"]


def test_filters_are_kept_and_made_narrower(told, told_json):
    told_json("filter", "support", "--model", "m1", "--save", "ones")
    assert told_json("filter", "support", "--saved", "ones")["found"] == 30
    assert told_json("filter", "support", "--saved", "ones", "--where", "team=t1")["found"] == 10
    assert "There are: ones" in told("filter", "support", "--saved", "once")[1]


@pytest.mark.parametrize(
    "wrong", [["--where", "team"], ["--since", "soon"], ["--grade", "good"], ["--near", "2", "--like", "a"]], ids=str
)
def test_wrong_words_are_wrong_use(wrong, told, told_json):
    assert told("filter", "support", *wrong)[0] == 2


def test_people_see_a_line_for_each(told, told_json):
    words = told("filter", "support", "--match", "refund", "--rows", "1")[1]
    assert "30 of 60 items of support@1" in words
    assert "please refund parcel" in words
