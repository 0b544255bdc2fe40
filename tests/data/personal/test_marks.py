from __future__ import annotations

import pytest

from stillhouse.data.personal.marks import marks
from stillhouse.data.pii import Type, find


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write to john.doe+spam@mail.example.co.uk.", ["john.doe+spam@mail.example.co.uk"]),
        ("mailto:a@b.io,c@d.io", ["a@b.io", "c@d.io"]),
        ("<Jürgen@müller.example>", ["Jürgen@müller.example"]),
        ("'ann@example.com'", ["ann@example.com"]),
        ("ann@[203.0.113.7]", ["ann@[203.0.113.7]"]),
        ("ann＠example．com", ["ann＠example．com"]),
        ("foo@bar, user@localhost, @ann, a @ b.com, x@.com, me@1.2", []),
    ],
)
def test_addresses(text, found):
    assert [text[each.start : each.end] for each in find(text, {Type.EMAIL})] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("postgres://admin:s3cr3t@db.example.com/x", ["admin:s3cr3t"]),
        ("https://:token123@host/", [":token123"]),
        ("https://user:pass@host/ or http://host:8080/a@b", []),
    ],
)
def test_credentials_in_urls(text, found):
    assert [text[each.start : each.end] for each in find(text, {Type.URL_CREDENTIALS})] == found


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("fe80::1ff:fe23:4567:890a", Type.IP),
        ("2001:db8:0:0:8:800:200c:417a", Type.IP),
        ("00:1A:2B:3C:4D:5E", Type.MAC),
        ("00-1a-2b-3c-4d-5e", Type.MAC),
    ],
)
def test_addresses_of_machines(text, kind):
    assert [each.type for each in find(f"at {text} now")] == [kind]


@pytest.mark.parametrize("text", ["::1", "12:34:56", "std::vector::size", "a::b::c", "00:00:00:00:00:00", "1:2:3:4"])
def test_look_alikes(text):
    assert find(text, {Type.IP, Type.MAC}) == []


def test_plain_text_is_not_looked_at():
    assert list(marks("Nothing here; not a thing.")) == []
