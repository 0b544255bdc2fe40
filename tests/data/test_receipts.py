"""Receipts: signed by the key of the home folder, and any change is found."""

from __future__ import annotations

import orjson
import pytest

from stillhouse.data.receipts import FILE, Notary, check_receipt, read_receipt
from stillhouse.errors import DataError, StorageError


@pytest.fixture
def notary(tmp_path) -> Notary:
    notary = Notary.open(tmp_path)
    assert notary is not None
    return notary


def test_the_key_is_made_once_for_its_owner_alone(notary, tmp_path):
    again = Notary.open(tmp_path)
    assert again is not None
    assert again.public == notary.public
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert Notary.open(tmp_path / "other", make=False) is None


def test_a_key_that_is_none_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"short")
    with pytest.raises(StorageError, match="5 bytes"):
        Notary.open(tmp_path)


def test_a_receipt_is_whole_as_it_was_signed(notary):
    receipt = notary.sign({"id": "erasure-1", "touched": {"calls": 3}})
    assert check_receipt(orjson.loads(orjson.dumps(receipt))) == notary.public
    assert notary.sign(receipt) == receipt


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["touched"].update(calls=2),
        lambda told: told.update(more=1),
        lambda told: told["signature"].update(value="AAAA"),
        lambda told: told["signature"].update(public_key="AAAA"),
        lambda told: told.pop("signature"),
    ],
)
def test_any_change_is_found(notary, change):
    receipt = notary.sign({"touched": {"calls": 3}})
    change(receipt)
    with pytest.raises(DataError, match="not as it was signed"):
        check_receipt(receipt)


def test_a_name_is_hashed_with_the_key_and_the_project(notary, tmp_path):
    other = Notary.open(tmp_path / "other")
    assert other is not None
    hashes = {notary.subject("p", "ann"), notary.subject("q", "ann"), other.subject("p", "ann")}
    assert len(hashes) == 3
    assert notary.subject("p", "ann") in hashes


def test_what_is_no_receipt_is_told(tmp_path):
    (tmp_path / "a.json").write_text('{"object": "file"}')
    with pytest.raises(DataError, match="no receipt"):
        read_receipt(tmp_path / "a.json")
