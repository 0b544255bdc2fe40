from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.personal.names import BITS, FEATURES, TAGS, Tagger, Words, names, rows_of
from stillhouse.data.pii import Type, find


def people(text: str) -> list[str]:
    return [text[each.start : each.end] for each in find(text, {Type.PERSON})]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hi, my name is Ann Lee and my card was declined.", ["Ann Lee"]),
        ("Please forward this to Jürgen Schmidt at the bank.", ["Jürgen Schmidt"]),
        ("Dear Mrs. Kowalska, thank you for your letter.", ["Kowalska"]),
        ("Best regards,\nMaria G. Fernandez", ["Maria G. Fernandez"]),
        ("i spoke with maria yesterday", ["maria"]),
        ("John told Mary that Peter was late.", ["John", "Mary", "Peter"]),
        ("I met Anne-Marie Dupont and Sean O'Connor.", ["Anne-Marie Dupont", "Sean O'Connor"]),
    ],
)
def test_people_are_found(text, found):
    assert people(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "How do I open my credit card statement?",
        "praise",
        "where is my parcel, i have been waiting since monday",
        "bitte löschen sie mein konto",
        "kann ich mein kennwort selbst ändern",
        "The meeting is on Monday, in February.",
        "Please reset my password and send me the link.",
        "HTTP error 404: the page was not found",
        "std::vector<int> x; Console.WriteLine(x); import java.util.List",
        "Where is my order? It should have come on Friday.",
    ],
)
def test_ordinary_words_are_nobody(text):
    assert people(text) == []


def test_firms_and_places_are_told_when_they_are_asked_for():
    text = "Ann Lee works for Deutsche Bank in Berlin, Germany."
    found = {(each.type, text[each.start : each.end]) for each in find(text, {Type.PERSON, Type.LOCATION})}
    assert (Type.PERSON, "Ann Lee") in found
    assert any(kind == Type.LOCATION for kind, _ in found)


def test_the_table_is_small_and_whole():
    tagger = Tagger.read()
    chances = tagger.chances(["Ann", "Lee"], [0, 1])
    assert chances.shape == (2, len(TAGS))
    assert chances.sum(axis=1) == pytest.approx([1, 1])


def test_rows_depend_on_the_words_around_and_on_no_more():
    words = ["a", "b", "Ann", "c", "d", "e"]
    rows = rows_of(words, [2], {})
    assert rows.shape == (1, FEATURES)
    assert rows.max() < 1 << BITS
    assert np.array_equal(rows, rows_of([*words[:5], "other"], [2], {}))
    assert not np.array_equal(rows, rows_of([*words[:4], "other", "e"], [2], {}))


def test_rows_are_the_same_on_every_machine():
    assert rows_of(["Ann", "says", "hi"], [0], {})[0, :12].tolist() == ROWS


ROWS = [119004, 28234, 26084, 3175, 34988, 100695, 106675, 21427, 56179, 1158, 38041, 128527]
"""As on the machine that made the table: others would find other names with it."""


def test_words_and_where_they_are():
    words = Words.of("Ann-Marie's a_b 12,\nok")
    assert list(words.texts) == ["Ann-Marie's", "a", "_", "b", "12", ",", "\n", "ok"]
    assert words.starts[-1] == 20


@given(st.text(max_size=200))
def test_spans_lie_in_the_text(text):
    for span in names(text):
        assert 0 <= span.start < span.end <= len(text)
        assert 0 < span.score <= 1
