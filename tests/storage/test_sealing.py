"""Sealing: what is closed opens with its key in its place, and nowhere else."""

from __future__ import annotations

import pytest

from stillhouse.errors import StorageError
from stillhouse.storage.sealing import ADDED, DataKey, is_sealed, key_id_of

PLACE = ("p", "completions", "chatcmpl-1", "answer")
KEY = DataKey.of("0" * 31 + "7", 1, bytes(32))


@pytest.mark.parametrize("body", [b"", b"{}", "ü".encode() * 1000])
def test_a_body_opens_as_it_was_closed(body):
    sealed = KEY.seal(body, PLACE)
    assert is_sealed(sealed)
    assert key_id_of(sealed) == KEY.id
    assert len(sealed) == len(body) + ADDED
    assert KEY.open(sealed, PLACE) == body


def test_the_same_body_is_never_closed_alike():
    assert KEY.seal(b"{}", PLACE) != KEY.seal(b"{}", PLACE)


@pytest.mark.parametrize("body", [None, b"", b"{}", b"[]", b"\0", b"null"])
def test_json_is_not_taken_for_a_closed_body(body):
    assert not is_sealed(body)


@pytest.mark.parametrize("part", range(4))
def test_it_opens_in_no_other_place(part):
    other = tuple("x" if number == part else word for number, word in enumerate(PLACE))
    with pytest.raises(StorageError, match="does not open"):
        KEY.open(KEY.seal(b"{}", PLACE), other)


def test_parts_of_a_place_do_not_run_into_each_other():
    with pytest.raises(StorageError):
        KEY.open(KEY.seal(b"{}", ("ab", "c", "d", "e")), ("a", "bc", "d", "e"))


def test_a_changed_byte_is_found_wherever_it_is():
    sealed = KEY.seal(b"{}", PLACE)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(StorageError):
            KEY.open(bytes(changed), PLACE)
    for cut in (sealed[:-1], sealed[:20], sealed[:5]):
        with pytest.raises(StorageError):
            KEY.open(cut, PLACE)


def test_another_key_does_not_open_it():
    with pytest.raises(StorageError):
        DataKey.of(KEY.id, 1, bytes(31) + b"\1").open(KEY.seal(b"{}", PLACE), PLACE)
