from __future__ import annotations

import ipaddress
import re

import pytest

from stillhouse.data.personal.checksums import luhn, mod_97
from stillhouse.data.pii import Span, Type
from stillhouse.data.pseudonyms import stand_in

KEY, OTHER = b"k" * 32, b"o" * 32


def other(value: str, kind: Type, key: bytes = KEY) -> str:
    return stand_in(value, Span(0, len(value), kind, 1.0), key)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Type.PERSON, "Ann Lee"),
        (Type.EMAIL, "ann@b.io"),
        (Type.PHONE, "+44 20 7946 0958"),
        (Type.CARD, "4111 1111 1111 1111"),
        (Type.IBAN, "DE89 3704 0044 0532 0130 00"),
        (Type.NATIONAL_ID, "853-37-1694"),
        (Type.IP, "10.1.2.3"),
        (Type.IP, "fe80::1:2:3"),
        (Type.MAC, "00:1A:2B:3C:4D:5E"),
        (Type.BIRTH_DATE, "31/12/1980"),
        (Type.ADDRESS, "12 Elm St"),
        (Type.ADDRESS, "94107"),
        (Type.SECRET, "sk_live_abcd1234"),
        (Type.PASSPORT, "X1234567"),
        (Type.PLATE, "B-AB 1234"),
        (Type.DRIVER_LICENSE, "D123"),
        (Type.URL_CREDENTIALS, "a:b"),
        (Type.ORGANIZATION, "Acme Inc"),
        (Type.LOCATION, "Ulm"),
    ],
)
def test_the_same_value_has_the_same_stand_in_and_the_key_decides_which(kind, value):
    assert other(value, kind) == other(value, kind) != value
    made = {other(value, kind, bytes([byte]) * 16) for byte in range(20)}
    assert len(made) > 3


@pytest.mark.parametrize(
    "value",
    [
        "ＤＥ89 3704 0044 0532 0130 00",
        "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
        "de89-3704-0044-0532-0130-00",
        "DE٨٩ 3704 0044 0532 0130 00",
    ],
)
def test_the_stand_in_of_an_iban_holds_however_it_is_written(value):
    made = other(value, Type.IBAN)
    assert made.startswith("DE")
    assert mod_97(re.sub(r"[^0-9A-Z]", "", made))
    assert len(made) == len(value)


def test_every_kind_has_one():
    assert all(other("A1-23 456", kind) != "A1-23 456" for kind in Type if kind not in (Type.IBAN, Type.CARD, Type.MAC))


def test_a_person_is_known_by_parts_of_the_name():
    whole = other("Ann van der Berg", Type.PERSON)
    assert re.fullmatch(r"\w+ van der \w+", whole)
    assert whole.split()[-1] == other("Berg", Type.PERSON)
    assert whole.split()[0] == other("Ann", Type.PERSON)
    assert other("BERG", Type.PERSON) == other("Berg", Type.PERSON).upper()
    assert re.fullmatch(r"[A-Z]\. \w+", other("A. Berg", Type.PERSON))


def test_numbers_keep_their_form_and_their_checksums():
    made = other("4111-1111-1111-1111", Type.CARD)
    assert re.fullmatch(r"(\d{4}-){3}\d{4}", made)
    assert luhn(made.replace("-", ""))
    assert made.startswith("9999-99")
    iban = other("GB29 NWBK 6016 1331 9268 19", Type.IBAN)
    assert re.fullmatch(r"GB\d\d( [X\d]{4}){4} \d\d", iban)
    assert mod_97(iban.replace(" ", ""))


def test_machines_and_phones_are_those_of_examples():
    assert ipaddress.ip_address(other("8.8.8.8", Type.IP)).is_private
    assert ipaddress.ip_address(other("2a00::1:2:3", Type.IP)) in ipaddress.ip_network("2001:db8::/32")
    assert other("a1:b2:c3:d4:e5:f6", Type.MAC).startswith("00:00:5E:00:53:")
    assert re.fullmatch(r"\+44 \d\d \d555 01\d\d", other("+44 20 7946 0958", Type.PHONE))
    assert re.fullmatch(r"\(\d{3}\) 555-01\d\d", other("(212) 234-5678", Type.PHONE))
    assert other("ann@b.io", Type.EMAIL).endswith("@example.com")


def test_a_date_stays_one():
    day, month, year = map(int, other("31.12.1980", Type.BIRTH_DATE).split("."))
    assert (13 <= day <= 28, 1 <= month <= 12, 1975 <= year <= 1985) == (True, True, True)
