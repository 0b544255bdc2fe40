from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.pii import CERTAIN, PLACEHOLDER, Type, find

FORMS = set(Type) - {Type.PERSON, Type.ORGANIZATION, Type.LOCATION}


def pieces(text: str, types=FORMS) -> list[tuple[Type, str]]:
    return [(each.type, text[each.start : each.end]) for each in find(text, types)]


def test_everything_in_a_letter():
    text = (
        "Hi, I lost card 4111 1111 1111 1111. Write to ann@example.org or call +44 20 7946 0958; my IBAN is "
        "DE89 3704 0044 0532 0130 00 and the password: hunter2! was sent to 12 rue de la Paix, 75002 Paris."
    )
    assert [kind for kind, _ in pieces(text)] == [
        Type.CARD,
        Type.EMAIL,
        Type.PHONE,
        Type.IBAN,
        Type.SECRET,
        Type.ADDRESS,
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("４１１１ １１１１ １１１１ １１１１", (Type.CARD, "４１１１ １１１１ １１１１ １１１１")),
        ("٤١١١١١١١١١١١١١١١", (Type.CARD, "٤١١١١١١١١١١١١١١١")),
        ("853‑37‑1694", (Type.NATIONAL_ID, "853‑37‑1694")),
        ("+44\u00a020\u00a07946\u00a00958", (Type.PHONE, "+44\u00a020\u00a07946\u00a00958")),
        ("İ 4111111111111111", (Type.CARD, "4111111111111111")),
    ],
)
def test_other_digits_spaces_and_hyphens_count_as_plain_ones(text, found):
    assert pieces(text) == [found]


def test_kinds_that_are_not_asked_for_are_left():
    text = "ann@example.org, 4111111111111111"
    assert pieces(text, {Type.CARD}) == [(Type.CARD, "4111111111111111")]
    assert find(text, ()) == []


def test_what_is_less_sure_may_be_left():
    text = "my phone is 6999156915"
    assert find(text)
    assert find(text, least=0.95) == []


def test_our_own_placeholders_are_left():
    text = "[EMAIL] [CARD:0123456789ab] [PERSON#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA]"
    assert PLACEHOLDER.sub("", text).strip() == ""
    assert find(text, set(Type)) == []


def test_organisations_and_places_are_no_default():
    assert Type.PERSON in CERTAIN
    assert not {Type.ORGANIZATION, Type.LOCATION} & CERTAIN


@given(st.text(max_size=300) | st.text("0123456789 -+().@:/AaXZ#[]_", max_size=300))
def test_spans_lie_in_the_text_in_order_and_apart(text):
    spans = find(text, frozenset(Type), least=0)
    assert all(0 <= each.start < each.end <= len(text) and 0 < each.score <= 1 for each in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))


@given(
    st.sampled_from(["4111111111111111", "ann@example.org", "+44 20 7946 0958", "GB29NWBK60161331926819"]),
    st.text(" ,;\n", min_size=1, max_size=5),
    st.text("abc xyz", max_size=20),
)
def test_what_surrounds_it_makes_no_difference(value, gap, words):
    text = f"{words}{gap}{value}{gap}{words}"
    assert value in [piece for _, piece in pieces(text)]
