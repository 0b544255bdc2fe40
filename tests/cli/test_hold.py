"""`stillhouse hold`: placed, listed, released; what it protects is not deleted meanwhile."""

from __future__ import annotations

import json

import pytest

from tests.cli.keeping import caller, keep, kept
from tests.storage.stored import completion


@pytest.fixture
def told(own_database, tmp_path, capsys):
    return caller(own_database, tmp_path, capsys)


def test_a_held_call_outlives_its_time(told, own_database, tmp_path):
    keep(own_database, tmp_path, completion(1), completion(2))
    placed = json.loads(told("hold", "place", "case 7", "--completion", "chatcmpl-000001", "--json")[1])
    assert (placed["project"], placed["completion"], placed["reason"]) == ("default", "chatcmpl-000001", "case 7")
    told("retention", "set", "1")
    assert "1 calls from before" in told("retention", "run")[1]
    assert kept(own_database, tmp_path, "chatcmpl-000001")
    assert "case 7" in told("hold", "list")[1]
    assert "no more" in told("hold", "release", placed["id"])[1]
    assert json.loads(told("hold", "list", "--json")[1]) == {"holds": []}
    told("retention", "run")
    assert kept(own_database, tmp_path, "chatcmpl-000001") is None


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_holds_on_what_is_not_there_are_refused(told):
    assert "no stored call" in told("hold", "place", "why", "--completion", "chatcmpl-9")[1]
    assert told("hold", "place", "why", "--completion", "x", "--subject", "y")[0] == 2
    assert told("hold", "place", " ")[0] == 2
    assert told("hold", "release", "hold_9")[0] == 2
    assert "all calls of the project default" in told("hold", "place", "why")[1]
    assert "calls about ada" in told("hold", "place", "why", "--subject", "ada")[1]
    assert "There are no holds" in told("hold", "list", "--project", "other")[1]
