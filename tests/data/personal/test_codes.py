from __future__ import annotations

import pytest

from stillhouse.data.personal.codes import IBAN_LENGTHS, code_at
from stillhouse.data.pii import Type, find

VALID = {
    "uk_nino": ["AB 12 34 56 C", "AB123456C"],
    "es_dni": ["12345678Z", "12345678-Z"],
    "es_nie": ["X1234567L", "X-1234567-L"],
    "it_codice_fiscale": ["RSSMRA85T10A562S"],
    "mx_curp": ["BOXW310820HNERXN09"],
    "fi_hetu": ["131052-308T"],
    "sg_nric": ["S1234567D"],
    "hk_id": ["G123456(A)"],
    "in_pan": ["ABCPE1234F"],
    "ie_pps": ["PPS 6433435F"],
    "cn_resident": ["11010519491231002X"],
}


@pytest.mark.parametrize(("detail", "code"), [(detail, code) for detail, codes in VALID.items() for code in codes])
def test_a_code_is_found_and_named(detail, code):
    text = f"It is {code}, they said."
    [span] = find(text, {Type.NATIONAL_ID})
    assert span.detail == detail
    assert text[span.start : span.end] == code.removeprefix("PPS ")


@pytest.mark.parametrize(
    "code",
    [
        "12345678A",
        "X1234567A",
        "RSSMRA85T10A562T",
        "BOXW310820HNERXN08",
        "131052-308U",
        "S1234567A",
        "G123456(B)",
        "GB123456C",
        "11010519491231003X",
        "ABCCE1234F",
    ],
)
def test_one_that_does_not_add_up_is_none(code):
    assert find(f"It is {code}, they said.", {Type.NATIONAL_ID}) == []


@pytest.mark.parametrize(
    "iban",
    [
        "DE89370400440532013000",
        "GB29 NWBK 6016 1331 9268 19",
        "gb42nawi04454264788619",
        "NO9386011117947",
        "FR14 2004 1010 0505 0001 3M02 606",
        "MT84MALT011000012345MTLCAST001S",
        "AT611904300234573201",
    ],
)
def test_an_iban_ends_where_its_country_says(iban):
    text = f"Pay to {iban} then call us"
    [span] = find(text, {Type.IBAN})
    assert text[span.start : span.end] == iban


@pytest.mark.parametrize("code", ["DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000", "DE00"])
def test_what_is_no_iban(code):
    assert find(f"Pay to {code} now", {Type.IBAN}) == []


def test_lengths_are_those_of_the_registry():
    assert (IBAN_LENGTHS["NO"], IBAN_LENGTHS["DE"], IBAN_LENGTHS["MT"]) == (15, 22, 31)


def test_nothing_begins_in_the_middle_of_nowhere():
    assert code_at("hello world", 3, "") is None
