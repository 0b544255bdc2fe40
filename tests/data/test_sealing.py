from __future__ import annotations

import stat
from collections import Counter

import pytest

from stillhouse.data.sealing import TOKEN, hashed, key_of, reveal, seal
from stillhouse.errors import DataError, UsageError

KEY, OTHER = b"k" * 32, b"o" * 32


def token(value: str, kind: str = "EMAIL", key: bytes = KEY) -> str:
    return f"[{kind}#{seal(value, kind, key)}]"


@pytest.mark.parametrize("value", ["ann@example.org", "x", "Łódź ☂", "\ud800", "a" * 10_000])
def test_a_key_opens_what_it_sealed_and_no_other_does(value):
    text = f"to {token(value)}."
    assert TOKEN.search(text)
    assert reveal(text, KEY) == f"to {value}."
    counts: Counter[str] = Counter()
    assert reveal(text, OTHER, counts) == text
    assert counts == {"unopened": 1}


def test_equal_values_have_equal_tokens_and_others_others():
    assert token("a@b.io") == token("a@b.io")
    assert len({token("a@b.io"), token("c@b.io"), token("a@b.io", "PERSON"), token("a@b.io", key=OTHER)}) == 4


def test_a_token_that_was_changed_is_not_opened():
    whole = token("ann@example.org")
    for changed in (whole.replace("EMAIL", "PHONE"), whole[:20] + ("A" if whole[20] != "A" else "B") + whole[21:]):
        assert reveal(changed, KEY) == changed


def test_hashes_know_a_value_however_it_is_written():
    assert hashed("4111 1111-1111.1111", "CARD", KEY) == hashed("4111111111111111", "CARD", KEY)
    assert hashed("Ann  Lee", "PERSON", KEY) == hashed("ann lee", "PERSON", KEY)
    assert (
        len({hashed("a", "CARD", KEY), hashed("a", "PHONE", KEY), hashed("a", "CARD", OTHER), hashed("b", "CARD", KEY)})
        == 4
    )


def test_a_project_has_one_key_that_its_owner_alone_reads(tmp_path):
    key = key_of(tmp_path, "default")
    assert key == key_of(tmp_path, "default") != key_of(tmp_path, "other")
    [path] = (tmp_path / "redaction").glob("default.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(DataError, match="damaged"):
        key_of(tmp_path, "default")


def test_a_key_that_is_only_asked_for_is_not_made(tmp_path):
    with pytest.raises(UsageError, match="no key"):
        key_of(tmp_path, "default", make=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("project", ["../x", "Support team", "a/b", "", "é" * 128, "\ud800", "~x"])
def test_a_project_whose_name_is_none_for_a_file_has_a_key_too(project, tmp_path):
    key = key_of(tmp_path, project)
    assert key == key_of(tmp_path, project, make=False) != key_of(tmp_path, f"{project}!")
    assert {path.parent for path in tmp_path.rglob("*.key")} == {tmp_path / "redaction"}
