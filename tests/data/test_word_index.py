"""WordIndex: finds what looking at every text finds, and ranks by shared words, rare ones first."""

from __future__ import annotations

import random

import pytest

from stillhouse.data.curate import normalise
from stillhouse.data.word_index import WordIndex, words_of

TEXTS = [
    "How do I get a Refund?",
    "refunds are slow, REFUND me",
    "I lost my  CARD yesterday",
    None,
    "card losses",
    "信用卡 lost 信用abc",
    "",
    "?!",
    "straße STRASSE",
]


def index(tmp_path, texts) -> WordIndex:
    return WordIndex.open(tmp_path / "index", texts)


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ("refund", [0, 1]),
        ("REFUND?", [0]),
        ("my card", [2]),
        ("my   card", [2]),
        ("d los", [4]),
        ("d lost", []),
        ("用卡", [5]),
        ("用a", [5]),
        ("!", [7]),
        ("strass", [8]),
        ("slow, refund", [1]),
        ("", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("nothing of the kind", []),
    ],
)
def test_it_finds_texts_that_contain_a_text(wanted, rows, tmp_path):
    assert index(tmp_path, TEXTS).holding(wanted).nonzero()[0].tolist() == rows


def test_it_finds_what_looking_at_every_text_finds(tmp_path):
    chance = random.Random(3)
    letters = "ab c-d信用\n.é"
    texts = ["".join(chance.choices(letters, k=chance.randrange(12))) for _ in range(500)]
    found = index(tmp_path, texts)
    for _ in range(300):
        wanted = "".join(chance.choices(letters, k=chance.randrange(1, 5)))
        expected = [row for row, text in enumerate(texts) if normalise(wanted) in normalise(text)]
        assert found.holding(wanted).nonzero()[0].tolist() == expected, repr(wanted)


def test_likeness_is_the_cosine_of_weighted_words(tmp_path):
    found = index(tmp_path, TEXTS)
    likeness = found.likeness("i LOST my card yesterday")
    assert likeness[2] == pytest.approx(1, abs=1e-6)
    assert likeness[3] == likeness[6] == likeness[7] == 0
    assert 0 < likeness[4] < 1
    assert found.likeness("zebra").max() == 0
    assert found.likeness("").max() == 0


def test_rare_words_weigh_more(tmp_path):
    texts = ["the parcel", "the zebra", *["the parcel today"] * 20]
    likeness = index(tmp_path, texts).likeness("the zebra parcel")
    assert likeness[1] > likeness[0]


def test_an_index_of_nothing_finds_nothing(tmp_path):
    found = index(tmp_path, [])
    assert found.rows == 0
    assert found.holding("a").tolist() == []
    assert found.likeness("a").tolist() == []


def test_it_is_made_once(tmp_path):
    index(tmp_path, TEXTS)
    assert index(tmp_path, iter(())).rows == len(TEXTS)


def test_letters_of_scripts_without_spaces_are_words():
    assert words_of("abc信用 d_e, f") == ["abc", "信", "用", "d_e", "f"]
