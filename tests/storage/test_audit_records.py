"""Records of the audit log: one form for what is hashed, and names that do not tell who is meant."""

from __future__ import annotations

import pytest

from stillhouse.storage.audit_records import START, Entry, Event, Verdict, anonymous, canonical


def test_the_form_that_is_hashed_does_not_depend_on_the_order_of_keys():
    assert (
        canonical({"b": 1, "a": [True, None]}) == canonical({"a": (True, None), "b": 1}) == b'{"a":[true,null],"b":1}'
    )


def test_what_is_no_unicode_does_not_break_it():
    assert canonical({"name\udc80": "who\ud800"}) == b'{"name?":"who?"}'


def test_an_entry_shows_what_its_hash_is_of_and_the_hash():
    entry = Entry(1, 5, Event("key.created", "terminal:ada", details={"name": "x"}), START, bytes(range(32)))
    shown = entry.shown
    assert shown.pop("hash") == bytes(range(32)).hex()
    assert canonical(shown) == entry.content


def test_a_subject_has_another_name_in_each_project_and_neither_holds_it():
    names = {anonymous("p", "ada"), anonymous("q", "ada"), anonymous("p", "bob")}
    assert len(names) == 3
    assert not any("ada" in name for name in names)


@pytest.mark.parametrize(("reason", "is_whole"), [("", True), ("row 2 is missing", False)])
def test_a_log_is_whole_where_nothing_was_found(reason, is_whole):
    assert Verdict(1, START, reason=reason).is_whole == is_whole
