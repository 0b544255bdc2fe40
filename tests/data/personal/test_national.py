from __future__ import annotations

import pytest

from stillhouse.data.personal.national import national_id
from stillhouse.data.pii import Type, find

VALID = {
    "us_ssn": ["853-37-1694", "SSN 853371694", "social security 123 45 6789"],
    "uk_nhs": ["NHS 943 476 5919", "NHS number: 9434765919"],
    "de_steuer_id": ["86 095 742 719", "IdNr. 36574261809"],
    "fr_nir": ["2 55 08 14 168 025 38", "255081416802538"],
    "nl_bsn": ["BSN 111222333"],
    "pl_pesel": ["PESEL 44051401359"],
    "br_cpf": ["529.982.247-25", "CPF 11144477735"],
    "in_aadhaar": ["2341 2341 2346", "Aadhaar: 234123412346"],
    "se_personnummer": ["811218-9876", "19811218-9876"],
    "dk_cpr": ["CPR 211062-5629"],
    "no_fodselsnummer": ["15076500565"],
    "be_rijksregister": ["85.07.30-033.28"],
    "ch_ahv": ["756.9217.0769.85", "7569217076985"],
    "tr_tckn": ["kimlik 10000000146"],
    "ro_cnp": ["CNP 1630615123457"],
    "kr_rrn": ["971013-9019902"],
    "za_id": ["ID number 7503305044089"],
    "pt_nif": ["NIF 287024008"],
    "cn_resident": ["360426199101010071"],
    "cz_rodne_cislo": ["710319/2745"],
    "ca_sin": ["SIN 123 456 782"],
}


@pytest.mark.parametrize(("detail", "text"), [(detail, text) for detail, texts in VALID.items() for text in texts])
def test_a_number_is_found_and_named(detail, text):
    [span] = find(f"Here: {text}, please.", {Type.NATIONAL_ID})
    assert span.detail == detail


@pytest.mark.parametrize("detail", sorted(set(VALID) - {"us_ssn", "dk_cpr"}))  # these two have no check digit
def test_its_checksum_decides(detail):
    text = VALID[detail][0]
    last = max(place for place, letter in enumerate(text) if letter.isdigit())
    for new in "0123456789":
        changed = text[:last] + new + text[last + 1 :]
        found = [each.detail for each in find(changed, {Type.NATIONAL_ID})]
        assert (detail in found) == (new == text[last]), changed


def test_a_romanian_number_whose_remainder_is_ten_ends_in_one():
    assert find("CNP 1850312010021", {Type.NATIONAL_ID})
    assert find("CNP 1850312010020", {Type.NATIONAL_ID}) == []


@pytest.mark.parametrize(
    "number", ["000-12-3456", "666-12-3456", "912-12-3456", "123-00-4567", "123-45-0000", "078-05-1120"]
)
def test_us_numbers_that_were_never_given_are_none(number):
    assert find(f"SSN {number}", {Type.NATIONAL_ID}) == []


def test_a_bare_number_needs_a_word_beside_it():
    assert national_id("44051401359", "11", "") == (0.0, "")
    assert national_id("44051401359", "11", "pesel: ")[1] == "pl_pesel"
    assert find("The order 44051401359 and the parcel 111222333 are late.") == []
