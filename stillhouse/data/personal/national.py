"""Numbers that states give to people, of digits alone: which forms they have, and when they are believed.

A number without separators is taken for an id only beside a word that says so, unless its checksums let fewer than one
in a thousand random numbers pass. Rules and weights are those that the issuing offices publish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from stillhouse.data.personal.checksums import iso_7064, luhn, verhoeff, weighted

__all__ = ["Rule", "national_id"]

NEVER_GIVEN = {"078051120", "219099999", "457555462"}
"""US numbers that were printed in advertisements."""


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """One country's number."""

    detail: str
    valid: Callable[[str], bool]
    words: tuple[str, ...]
    """Of which one stands beside it, in small letters."""
    shapes: Mapping[str, float]
    """How sure its groups of digits make it without a word: `3-2-4`; groups not named count as 0."""


def _date(year: str, month: str, day: str) -> bool:
    return year.isdigit() and 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def _ssn(digits: str) -> bool:
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000":
        return False
    return digits not in NEVER_GIVEN


def _nhs(digits: str) -> bool:
    check = 11 - weighted(digits[:9], range(10, 1, -1), 11)
    return check != 10 and check % 11 == int(digits[9])


def _steuer_id(digits: str) -> bool:
    """One digit of the first ten comes twice or thrice, and no other more than once."""
    counts = sorted(digits[:10].count(digit) for digit in set(digits[:10]))
    return digits[0] != "0" and counts[-1] in (2, 3) and counts[-2] == 1 and iso_7064(digits)


def _nir(digits: str) -> bool:
    month = int(digits[3:5])
    known = 1 <= month <= 12 or 20 <= month <= 42 or month >= 50
    return digits[0] in "1234578" and known and 97 - int(digits[:13]) % 97 == int(digits[13:])


def _bsn(digits: str) -> bool:
    return digits != "000000000" and (weighted(digits[:8], range(9, 1, -1), 11) - int(digits[8])) % 11 == 0


def _pesel(digits: str) -> bool:
    check = (10 - weighted(digits[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), 10)) % 10
    return _date(digits[:2], str(int(digits[2:4]) % 20), digits[4:6]) and check == int(digits[10])


def _cpf(digits: str) -> bool:
    if len(set(digits)) == 1:
        return False
    first = weighted(digits[:9], range(10, 1, -1), 11)
    second = weighted(digits[:10], range(11, 1, -1), 11)
    return [0 if part < 2 else 11 - part for part in (first, second)] == [int(digits[9]), int(digits[10])]


def _aadhaar(digits: str) -> bool:
    return digits[0] in "23456789" and verhoeff(digits)


def _personnummer(digits: str) -> bool:
    short = digits[-10:]
    return _date(short[:2], short[2:4], str(int(short[4:6]) % 60)) and luhn(short)


def _ahv(digits: str) -> bool:
    return digits.startswith("756") and weighted(digits, (1, 3) * 6 + (1,), 10) == 0


def _fodselsnummer(digits: str) -> bool:
    if not _date(digits[4:6], digits[2:4], str(int(digits[:2]) % 40)):
        return False
    first = weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), 11)
    return first == 0 and weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), 11) == 0


def _cpr(digits: str) -> bool:
    return _date(digits[4:6], digits[2:4], digits[:2])


def _rodne_cislo(digits: str) -> bool:
    return _date(digits[:2], str(int(digits[2:4]) % 50 % 20), digits[4:6]) and int(digits) % 11 == 0


def _belgian(digits: str) -> bool:
    rest = 97 - int(digits[9:])
    return _date(digits[:2], digits[2:4], digits[4:6]) and rest in (
        int(digits[:9]) % 97,
        int("2" + digits[:9]) % 97,
    )


def _tckn(digits: str) -> bool:
    tenth = (7 * sum(map(int, digits[:9:2])) - sum(map(int, digits[1:8:2]))) % 10
    return digits[0] != "0" and tenth == int(digits[9]) and sum(map(int, digits[:10])) % 10 == int(digits[10])


def _cnp(digits: str) -> bool:
    check = weighted(digits[:12], (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9), 11)
    is_given = digits[0] in "123456789" and _date(digits[1:3], digits[3:5], digits[5:7])
    return is_given and (1 if check == 10 else check) == int(digits[12])


def _rrn(digits: str) -> bool:
    check = (11 - weighted(digits[:12], (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), 11)) % 10
    newer = int(digits[:2]) >= 20 and digits[6] in "3478"  # since October 2020 the last digits are random
    return _date(digits[:2], digits[2:4], digits[4:6]) and (newer or check == int(digits[12]))


def _south_african(digits: str) -> bool:
    return _date(digits[:2], digits[2:4], digits[4:6]) and digits[10] in "01" and luhn(digits)


def _nif(digits: str) -> bool:
    check = 11 - weighted(digits[:8], range(9, 1, -1), 11)
    return digits[0] in "1235689" and (0 if check > 9 else check) == int(digits[8])


def _resident(digits: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)
    is_born = digits[6:8] in ("18", "19", "20") and _date(digits[6:10], digits[10:12], digits[12:14])
    return is_born and weighted(digits, weights, 11) == 1


def _sin(digits: str) -> bool:
    return digits[0] not in "08" and luhn(digits)


RULES: Mapping[int, tuple[Rule, ...]] = {
    9: (
        Rule("us_ssn", _ssn, ("ssn", "social sec", "ss#", "ss #"), {"3-2-4": 0.85, "3 2 4": 0.5}),
        Rule("ca_sin", _sin, ("sin", "social insurance", "assurance sociale"), {}),
        Rule("nl_bsn", _bsn, ("bsn", "burgerservice", "sofi"), {}),
        Rule("pt_nif", _nif, ("nif", "contribuinte"), {}),
    ),
    10: (
        Rule("uk_nhs", _nhs, ("nhs", "health service"), {}),
        Rule("se_personnummer", _personnummer, ("personnummer", "personal number"), {"6-4": 0.7, "6+4": 0.7}),
        Rule("dk_cpr", _cpr, ("cpr", "personnummer"), {}),
        Rule("cz_rodne_cislo", _rodne_cislo, ("rodné", "rodne", "birth number"), {"6/4": 0.8}),
    ),
    11: (
        Rule("br_cpf", _cpf, ("cpf", "cadastro"), {"3.3.3-2": 0.95}),
        Rule("pl_pesel", _pesel, ("pesel",), {}),
        Rule("de_steuer_id", _steuer_id, ("steuer", "tax id", "idnr", "tin"), {"2 3 3 3": 0.7}),
        Rule("be_rijksregister", _belgian, ("rijksregister", "national number", "registre"), {"2.2.2-3.2": 0.95}),
        Rule("no_fodselsnummer", _fodselsnummer, ("fødsels", "fodsels", "personnummer"), {"11": 0.7, "6 5": 0.8}),
        Rule("tr_tckn", _tckn, ("tc kimlik", "tckn", "t.c.", "kimlik"), {}),
    ),
    12: (
        Rule("in_aadhaar", _aadhaar, ("aadhaar", "aadhar", "uidai", "आधार"), {"4 4 4": 0.7, "4-4-4": 0.6}),
        Rule("se_personnummer", _personnummer, ("personnummer", "personal number"), {"8-4": 0.8}),
    ),
    13: (
        Rule("ch_ahv", _ahv, ("ahv", "avs"), {"3.4.4.2": 0.98, "13": 0.7}),
        Rule("kr_rrn", _rrn, ("주민", "resident registration"), {"6-7": 0.85}),
        Rule("ro_cnp", _cnp, ("cnp",), {}),
        Rule("za_id", _south_african, ("id number", "identity", "said", "id no"), {}),
    ),
    15: (
        Rule(
            "fr_nir",
            _nir,
            ("nir", "sécurité sociale", "securite sociale", "insee"),
            {"15": 0.8, "1 2 2 2 3 3 2": 0.98, "13 2": 0.9},
        ),
    ),
    18: (Rule("cn_resident", _resident, ("身份", "resident id"), {"18": 0.95}),),
}
BESIDE = 0.95
"""How sure a valid number beside its word is."""


def national_id(digits: str, shape: str, beside: str) -> tuple[float, str]:
    """How sure it is that these digits are a person's number, and which; `beside` is what surrounds them."""
    best = (0.0, "")
    for rule in RULES.get(len(digits), ()):
        told = any(word in beside for word in rule.words)
        score = BESIDE if told else rule.shapes.get(shape, 0.0)
        if score > best[0] and rule.valid(digits):
            best = (score, rule.detail)
    return best
