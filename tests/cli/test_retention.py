"""`stillhouse retention`: policies set, shown, tried out and carried out."""

from __future__ import annotations

import json

import pytest

from tests.cli.keeping import caller, keep, kept
from tests.storage.stored import completion


@pytest.fixture
def told(own_database, tmp_path, capsys):
    return caller(own_database, tmp_path, capsys)


def test_a_dry_run_deletes_nothing_and_a_run_what_it_told(told, own_database, tmp_path):
    keep(own_database, tmp_path, completion(1, use="a"), completion(2, use="b"), completion(3, model="small", use="a"))
    policy = json.loads(told("retention", "set", "30", "--metadata", "use=a", "--model", "large", "--json")[1])
    assert (policy["days"], policy["model"], policy["metadata"]) == (30, "large", {"use": "a"})
    [dry] = json.loads(told("retention", "run", "--dry-run", "--json")[1])["policies"]
    assert (dry["deleted"], dry["held"]) == (1, 0)
    assert kept(own_database, tmp_path, "chatcmpl-000001")
    [done] = json.loads(told("retention", "run", "--json")[1])["policies"]
    assert (done["policy"], done["deleted"]) == (policy, 1)
    assert kept(own_database, tmp_path, "chatcmpl-000001") is None
    assert kept(own_database, tmp_path, "chatcmpl-000002")
    assert kept(own_database, tmp_path, "chatcmpl-000003")


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_a_policy_is_replaced_by_one_for_the_same_calls_and_removed_by_its_id(told):
    told("retention", "set", "30")
    second = json.loads(told("retention", "set", "7.5", "--json")[1])
    other = json.loads(told("retention", "set", "1", "--metadata", "use=a", "--json")[1])
    assert json.loads(told("retention", "show", "--json")[1]) == {"policies": [second, other]}
    assert "with use=a are kept for 1 days" in told("retention", "show")[1]
    assert told("retention", "remove", second["id"])[0] == 0
    assert told("retention", "remove", second["id"])[0] == 2
    assert told("retention", "remove", other["id"])[0] == 0
    assert "There are no policies" in told("retention", "show")[1]
    assert "There are no policies" in told("retention", "run")[1]


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("wrong", [["0"], ["1", "--metadata", "use"], ["--", "-1"]], ids=str)
def test_policies_that_make_no_sense_are_wrong_use(told, wrong):
    assert told("retention", "set", *wrong)[0] == 2


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("days", ["inf", "nan", "1e300", "1000001"])
def test_days_that_nobody_can_count_are_refused_by_what_is_allowed(told, days):
    code, error = told("retention", "set", days)
    assert (code, "at most 1,000,000 days" in error) == (2, True)
    assert "There are no policies" in told("retention", "show")[1]
