"""`stillhouse vault`: from calls in the clear to calls that only the master key opens, and back to newer keys."""

from __future__ import annotations

import json

import pytest

from stillhouse.storage.master_key import MASTER_FILE
from tests.cli.keeping import caller, keep, kept
from tests.storage.databases import kept_bytes
from tests.storage.stored import completion


@pytest.fixture
def told(own_database, tmp_path, capsys):
    return caller(own_database, tmp_path, capsys)


def test_what_is_kept_becomes_unreadable_without_the_key(told, own_database, tmp_path):
    keep(own_database, tmp_path, completion(1))
    assert "Nothing is encrypted" in told("vault", "status")[1]
    made = json.loads(told("vault", "init", "--json")[1])
    assert "2 bodies are kept in the clear: `stillhouse vault encrypt`" in told("vault", "status")[1]
    assert made["where"] == str(tmp_path / MASTER_FILE)
    done = json.loads(told("vault", "encrypt", "--json")[1])
    assert (done["rows"], done["encrypted"]) == (1, 2)
    assert b"question 1" not in kept_bytes(own_database, tmp_path)
    assert kept(own_database, tmp_path, "chatcmpl-000001") == completion(1)
    found = json.loads(told("vault", "status", "--json")[1])
    assert (found["master"], found["keys"], found["master_key_found"]) == (made["master"], {"month": 1}, True)
    assert found["in_the_clear"] == 0
    assert "which is found" in told("vault", "status")[1]
    (tmp_path / MASTER_FILE).unlink()
    assert "which is NOT found" in told("vault", "status")[1]
    code, words = told("vault", "encrypt")
    assert (code, made["master"] in words) == (1, True)


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_keys_are_changed(told, own_database, tmp_path):
    keep(own_database, tmp_path, completion(1))
    assert told("vault", "rotate")[0] == 2
    first = json.loads(told("vault", "init", "--json")[1])
    changed = json.loads(told("vault", "rotate", "--json")[1])
    assert changed["master"] != first["master"]
    assert "1 rows looked at, 2 bodies encrypted" in told("vault", "encrypt", "--no-scrub")[1]
    done = json.loads(told("vault", "rotate", "--data-keys", "--json")[1])
    assert (done["keys_retired"], done["encrypted"]) == (1, 2)
    assert kept(own_database, tmp_path, "chatcmpl-000001") == completion(1)


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_the_master_key_may_lie_elsewhere(told, own_database, tmp_path):
    place = tmp_path / "elsewhere" / "key"
    assert told("vault", "init", "--master-key-file", str(place))[0] == 0
    assert not (tmp_path / MASTER_FILE).exists()
    assert "NOT found" in told("vault", "status")[1]
    assert "which is found" in told("vault", "status", "--master-key-file", str(place))[1]
    place.write_text("nonsense")
    assert "holds no master key" in told("vault", "status", "--master-key-file", str(place))[1]


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_a_server_does_not_start_without_the_key_of_what_it_keeps(told, tmp_path):
    told("vault", "init")
    (tmp_path / MASTER_FILE).unlink()
    code, words = told("serve", "--port", "0", "--no-worker")
    assert (code, "STILLHOUSE_MASTER_KEY_FILE" in words) == (1, True)
