from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.personal.checksums import iso_7064, luhn, mod_97, verhoeff, weighted


@pytest.mark.parametrize(
    ("check", "valid"),
    [
        (luhn, "4111111111111111"),
        (luhn, "79927398713"),
        (verhoeff, "2363"),
        (verhoeff, "1428570"),
        (iso_7064, "86095742719"),
        (iso_7064, "36574261809"),
    ],
)
def test_every_changed_digit_is_found(check, valid):
    assert check(valid)
    for place, old in enumerate(valid):
        for new in "0123456789":
            assert check(valid[:place] + new + valid[place + 1 :]) == (new == old)


@given(st.text("0123456789", min_size=4, max_size=12), st.data())
def test_verhoeff_finds_neighbours_that_were_swapped(body, data):
    code = next(body + last for last in "0123456789" if verhoeff(body + last))
    place = data.draw(st.integers(0, len(code) - 2))
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert verhoeff(swapped) == (swapped == code)


def test_an_iban_is_read_with_its_country_last():
    assert mod_97("GB82WEST12345698765432")
    assert not mod_97("GB82WEST12345698765423")


def test_weights_stop_where_the_shorter_ends():
    assert weighted("1234", (1, 10), 100) == 21
