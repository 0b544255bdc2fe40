"""Parting: what says the same lies on one side, shares are met, and what is added moves nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.data.items import Facts, Item, Kind, Media
from stillhouse.data.parting import parse_shares, part
from stillhouse.errors import UsageError
from tests.data.items_for_tests import text

WORDS = ["parcel", "card", "refund", "invoice", "login", "password", "courier", "warranty", "delay", "broken", "screen"]
WORDS += ["cable", "order", "label"]
TEXTS = [
    text(
        f"my {WORDS[row % 14]} and the {WORDS[row // 14 % 14]} of {row * 7919} are with the {WORDS[row // 196 % 14]}",
        row,
    )
    for row in range(1_000)
]
SHARES = {"train": 0.7, "selection": 0.1, "test": 0.2}


def test_shares_are_met_and_nothing_is_lost():
    parted = part(TEXTS, SHARES)
    assert sum(parted.rows.values()) == len(parted.items) == 1_000
    assert all(abs(parted.rows[name] / 1_000 - share) < 0.05 for name, share in SHARES.items())
    assert [replace(item, facts=Facts()) for item in parted.items] == TEXTS


def test_near_duplicates_and_conversations_lie_on_one_side():
    words = " ".join(WORDS)
    near = [text(f"{words} please tell me more about this one {each}") for each in ("now", "soon", "later")]
    turns = [text(f"turn {WORDS[row]} of something {WORDS[-row]}", row, Facts(conversation="c1")) for row in range(8)]
    for seed in range(5):
        parted = part([*TEXTS[:200], *near, *turns], SHARES, seed)
        assert len({item.facts.split for item in parted.items[200:203]}) == 1
        assert len({item.facts.split for item in parted.items[203:]}) == 1
        assert parted.together >= 11


def test_neither_order_nor_later_items_move_any():
    first = {item.text: item.facts.split for item in part(TEXTS[:500], SHARES).items}
    later = {item.text: item.facts.split for item in part(TEXTS[::-1], SHARES).items}
    assert {words: later[words] for words in first} == first


def test_another_seed_is_another_split():
    one, other = part(TEXTS, SHARES), part(TEXTS, SHARES, seed=1)
    assert [item.facts.split for item in one.items] != [item.facts.split for item in other.items]


def test_pictures_are_told_apart_by_their_bytes():
    pictures = [Item(Kind.IMAGE, media=(Media(f"{row:064x}", "image/png", "x.png", 1),)) for row in range(200)]
    parted = part([*pictures, pictures[0]], SHARES)
    assert min(parted.rows.values()) > 0
    assert parted.items[0].facts.split == parted.items[-1].facts.split


def test_nothing_is_split_into_nothing():
    assert part([], SHARES).rows == {"train": 0, "selection": 0, "test": 0}


def test_shares_are_read_from_words():
    assert parse_shares("train=0.8, test=0.2") == {"train": 0.8, "test": 0.2}
    for words in ("train", "train=x", "train=0.8", "train=1.2,test=-0.2", "=1", ""):
        with pytest.raises(UsageError, match="--shares"):
            parse_shares(words)
