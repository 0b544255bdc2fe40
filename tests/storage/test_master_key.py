"""Master keys: written and read alike, never shown, each for its own purpose, and looked for where they may be."""

from __future__ import annotations

import pytest

from stillhouse.errors import StorageError, UsageError
from stillhouse.storage.master_key import MASTER_FILE, MasterKey, MasterKeys


def test_a_key_is_read_as_it_was_written_and_not_shown():
    key = MasterKey.new()
    assert MasterKey.read(key.text, "here") == key
    assert key.text.startswith("shmk-")
    assert len(key.text) == 48
    assert key.text not in repr(key)
    assert str(key.secret) not in repr(key)
    assert key.id != MasterKey.new().id


@pytest.mark.parametrize("text", ["", "shmk-", "shmk-äöü", "nonsense", "shmk-" + "A" * 42])
def test_what_is_no_key_is_refused_without_showing_it(text):
    with pytest.raises(StorageError, match="here holds no master key") as caught:
        MasterKey.read(text, "here")
    assert not text or text not in str(caught.value) or text == "shmk-"


def test_a_wrapped_key_opens_in_its_place_only():
    key, secret = MasterKey.new(), bytes(32)
    wrapped = key.wrap(secret, b"place")
    assert secret not in wrapped
    assert key.unwrap(wrapped, b"place") == secret
    for other, where, given in (
        (key, b"elsewhere", wrapped),
        (MasterKey.new(), b"place", wrapped),
        (key, b"place", b""),
        (key, b"place", wrapped[:-1]),
    ):
        with pytest.raises(StorageError, match="does not open"):
            other.unwrap(given, where)


def test_a_signature_is_of_one_message_and_one_key():
    key = MasterKey.new()
    assert key.has_signed(b"a", key.sign(b"a"))
    assert not key.has_signed(b"b", key.sign(b"a"))
    assert not MasterKey.new().has_signed(b"a", key.sign(b"a"))


def test_the_file_holds_several_for_its_owner_only(tmp_path):
    first, second = MasterKey.new(), MasterKey.new()
    keys = MasterKeys(tmp_path / "home")
    assert keys.current is None
    keys.write(first, second)
    assert (tmp_path / "home" / MASTER_FILE).stat().st_mode & 0o777 == 0o600
    assert MasterKeys(tmp_path / "home").all() == (first, second)
    assert [path.name for path in (tmp_path / "home").iterdir()] == [MASTER_FILE]


def test_a_key_that_was_added_since_is_found(tmp_path):
    keys, first, second = MasterKeys(tmp_path), MasterKey.new(), MasterKey.new()
    keys.write(first)
    MasterKeys(tmp_path).write(second, first)
    assert keys.current == first
    assert keys.find(second.id) == second
    assert keys.find("mk_none") is None


def test_the_environment_goes_before_the_home_folder_and_a_named_file_before_both(tmp_path, monkeypatch):
    keys = [MasterKey.new() for _ in range(4)]
    MasterKeys(tmp_path).write(keys[0])
    MasterKeys(tmp_path, tmp_path / "named").write(keys[1])
    monkeypatch.setenv("STILLHOUSE_MASTER_KEY_FILE", str(tmp_path / "named"))
    assert MasterKeys(tmp_path).all() == (keys[1],)
    monkeypatch.setenv("STILLHOUSE_MASTER_KEY", f"{keys[2].text}, {keys[3].text}")
    spoken = MasterKeys(tmp_path)
    assert spoken.all() == (keys[2], keys[3])
    assert spoken.where == "STILLHOUSE_MASTER_KEY"
    with pytest.raises(UsageError, match="cannot be changed from here"):
        spoken.write(keys[0])
    assert MasterKeys(tmp_path, tmp_path / MASTER_FILE).all() == (keys[0],)
