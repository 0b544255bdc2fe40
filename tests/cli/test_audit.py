"""`stillhouse audit`: the log listed, exported and checked, with an exit code that programs can act on."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.cli.keeping import caller


@pytest.fixture
def told(own_database, tmp_path, capsys):
    return caller(own_database, tmp_path, capsys)


def test_keys_made_and_revoked_are_told(told):
    told("keys", "create", "ann")
    told("keys", "revoke", "ann")
    entries = json.loads(told("audit", "list", "--json")[1])["entries"]
    assert [entry["action"] for entry in entries] == ["key.created", "key.revoked"]
    assert entries[0]["object"] == entries[1]["object"]
    assert entries[0]["actor"].startswith("terminal")
    assert entries[0]["details"]["scopes"] == "infer,read"
    assert "key.revoked" in told("audit", "list", "--action", "key.r")[1]
    assert "no such entries" in told("audit", "list", "--project", "other")[1]


def test_a_log_that_nobody_touched_is_whole_and_the_hash_is_expected_next_time(told, tmp_path):
    told("keys", "create", "ann")
    found = json.loads(told("audit", "verify", "--json")[1])
    assert (found["whole"], found["entries"], found["signed"]) == (True, 1, None)
    told("keys", "create", "bob")
    assert "2 entries, each as it was written" in told("audit", "verify", "--expect", found["hash"])[1]
    code, words = told("audit", "verify", "--expect", "0" * 63 + "1")
    assert (code, "cut or written anew" in words) == (1, True)
    assert told("audit", "verify", "--expect", "12")[0] == 2
    file = tmp_path / "audit.jsonl"
    assert "2 entries" in told("audit", "export", str(file))[1]
    assert told("audit", "verify", "--file", str(file), "--expect", found["hash"])[0] == 0
    file.write_text(file.read_text().replace("bob", "eve"))
    code, words = told("audit", "verify", "--file", str(file))
    assert (code, "row 2 was changed" in words) == (1, True)
    file.write_text("{\n")
    assert "line 1" in told("audit", "verify", "--file", str(file))[1]
    assert told("audit", "verify", "--file", str(tmp_path / "none"))[0] == 2


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_tampering_is_named_and_fails(told, tmp_path):
    for name in ("ann", "bob", "eve"):
        told("keys", "create", name)
    with sqlite3.connect(tmp_path / "stillhouse.db") as connection:
        connection.execute("DELETE FROM audit_log WHERE number = 2")
    code, words = told("audit", "verify")
    assert code == 1
    assert "row 2 is missing" in words


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_a_text_that_sql_left_in_place_of_bytes_is_tampering_as_well(told, tmp_path):
    for name in ("ann", "bob", "eve"):
        told("keys", "create", name)
    with sqlite3.connect(tmp_path / "stillhouse.db") as connection:
        words = "replace(CAST(content AS TEXT), 'key.created', 'key.granted')"
        connection.execute(f"UPDATE audit_log SET content = {words} WHERE number = 2")
    code, words = told("audit", "verify")
    assert code == 1
    assert "row 2 was changed" in words
    with sqlite3.connect(tmp_path / "stillhouse.db") as connection:
        connection.execute("UPDATE audit_log SET hash = 'abc' WHERE number = 1")
        connection.execute("UPDATE audit_head SET hash = 'abc'")
    assert "row 1 was changed" in told("audit", "verify")[1]
    assert told("audit", "list")[0] == 0


@pytest.mark.parametrize("own_database", ["sqlite"], indirect=True)
def test_the_end_is_signed_where_there_is_a_vault(told, tmp_path):
    assert told("vault", "init")[0] == 0
    told("keys", "create", "ann")
    assert "signed up to entry 2" in told("audit", "verify")[1]
    (tmp_path / "master.key").rename(tmp_path / "elsewhere.key")
    assert "the signature not checked: that takes the master key" in told("audit", "verify")[1]
    assert json.loads(told("audit", "verify", "--json")[1])["signature_unchecked"]
    found = json.loads(told("audit", "verify", "--master-key-file", str(tmp_path / "elsewhere.key"), "--json")[1])
    assert (found["signed"], found["signature_unchecked"]) == (2, False)
