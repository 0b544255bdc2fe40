from __future__ import annotations

import random

import numpy as np
import pytest

from stillhouse import extras
from stillhouse.data import curate
from stillhouse.data.curate import distinct, duplicate_groups, likeness, nearly_among, normalise, shingles
from stillhouse.errors import MissingExtra

WORDS = [f"word{number}" for number in range(500)]


def groups(*texts: str) -> list[int]:
    return duplicate_groups(texts, [None] * len(texts)).tolist()


def test_case_and_space_make_no_difference():
    assert normalise("  Where IS\nmy　card ") == "where is my card"
    assert groups("Where is my card?", "something else", "where  is my CARD?") == [0, 1, 0]


def test_of_equal_texts_the_first_stands_for_all():
    assert distinct(["Where is it?", "gone", "where  is IT?", "gone!", "gone"]).tolist() == [0, 1, 3]
    assert distinct([]).tolist() == []


def test_near_duplicates_are_joined_and_others_are_not():
    text = "i was charged twice for the same transfer to my friend last monday evening"
    assert groups(text, text + " please", text.replace("friend", "mother").replace("monday", "friday")) == [0, 0, 1]
    assert groups("where is my card", "where is my cash") == [0, 1]


def test_joining_is_transitive():
    words = WORDS[:40]
    texts = [" ".join(words[start : start + 30]) for start in (0, 2, 4, 6)]
    assert groups(*texts) == [0, 0, 0, 0]
    assert groups(texts[0], texts[3]) == [0, 1]


def test_turns_of_one_conversation_are_joined():
    found = duplicate_groups(["a thing", "another", "third", "a thing"], ["x", "y", "x", "y"])
    assert found.tolist() == [0, 0, 0, 0]
    assert duplicate_groups(["a", "b", "c"], ["x", None, "x"]).tolist() == [0, 1, 0]


def test_texts_without_words_or_spaces():
    assert groups("🙂", "🙁", "🙂", "", "") == [0, 1, 0, 2, 2]
    chinese = "我想知道我的新银行卡什么时候会寄到我家里来谢谢你们"
    assert groups(chinese, chinese + "吧", "你好") == [0, 0, 1]
    assert groups() == []


def test_every_planted_near_duplicate_is_found_among_many():
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(8, 30))) for _ in range(3_000)]
    found = duplicate_groups([*texts, *(f"{text} {text.split()[0]}" for text in texts)], [None] * 6_000)
    assert (found[:3_000] == found[3_000:]).all()
    assert len(np.unique(found)) == 3_000


def test_of_a_large_family_every_one_is_found_among_others():
    base = WORDS[:30]
    family = [
        " ".join([*base[:place], f"x{number}", *base[place + 1 :]]) for number in range(10) for place in range(30)
    ]
    others = ["nothing like it", " ".join(base), "", *[" ".join(WORDS[start : start + 9]) for start in range(40, 400)]]
    texts = [*family, "nothing alike", ""]
    alike = [likeness(shingles(text), shingles(others[1])) >= 0.8 for text in family]
    assert sum(alike) == 300
    found = nearly_among(texts, others, 0.8)
    assert found == {**dict.fromkeys(range(300), 1), 301: 2}
    assert nearly_among([], others, 0.8) == nearly_among(texts, [], 0.8) == {}


def test_a_large_family_of_near_duplicates_is_one_group():
    line = "please tell me where the order is that i placed two weeks ago it has not arrived yet number"
    assert set(groups(*(f"{line} {number}" for number in range(2_000)))) == {0}


def test_no_more_than_rensa_is_needed(monkeypatch):
    monkeypatch.setitem(extras.EXTRAS, "train", ("no_such_package",))
    assert groups("where is my card", "where is my card") == [0, 0]
    monkeypatch.setattr(curate, "missing", list)
    with pytest.raises(MissingExtra, match="pip install rensa"):
        groups("where is my card", "where is my card")
