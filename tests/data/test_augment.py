from __future__ import annotations

from stillhouse.data.augment import augment

TEXTS = ["where is my parcel today", "please send the money back", "help", ""]
WORDS = {word for text in TEXTS for word in text.split()}


def test_new_prompts_are_made_of_the_words_of_the_old():
    made = augment(TEXTS, 200, seed=0)
    assert len(made) == 200
    assert {word for text in made for word in text.split()} <= WORDS
    assert len(set(made) - set(TEXTS)) > 20


def test_the_same_seed_makes_the_same():
    assert augment(TEXTS, 20, seed=3) == augment(TEXTS, 20, seed=3)
    assert augment(TEXTS, 20, seed=3) != augment(TEXTS, 20, seed=4)


def test_nothing_comes_of_nothing():
    assert augment(["", "  "], 5, seed=0) == []
    assert augment([], 5, seed=0) == []
    assert augment(TEXTS, 0, seed=0) == []
