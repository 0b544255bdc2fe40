"""Prompts answered, and what is kept of the answers."""

from __future__ import annotations

import re

import pytest

from stillhouse.data.items import Item, Kind, Method
from stillhouse.errors import UsageError
from stillhouse.generation.answers import Choose, Sampling, answer, choose, opening
from stillhouse.generation.inquiry import Inquiry
from stillhouse.generation.judge import Judge
from tests.generation.rules import Words, asking

INQUIRY = Inquiry("large", Words(""))
JUDGE = Judge(Inquiry("judge", Words("score|{question}|{answer}")), Inquiry("judge", Words("pair|{first}|{second}")))
ITEMS = [Item(Kind.CHAT, ({"role": "user", "content": words},)) for words in ("Count", "Refuse", "Apologise", "Sing")]


class Choir:
    """Sings a longer song each time; longer is better."""

    def __init__(self) -> None:
        self.songs = 0

    def __call__(self, words, call):
        kind, *rest = words.split("|")
        if kind == "score":
            return {"reason": "", "score": min(10, 1 + rest[-1].count("la"))}
        if kind == "pair":
            return {"reason": "", "better": "first" if len(rest[0]) > len(rest[1]) else "second"}
        if words == "Refuse":
            return None
        if words == "Apologise":
            return "I'm sorry, but I can't do that."
        if words == "Sing":
            self.songs += 1
            return "la " * self.songs
        return "one two"


def test_what_is_no_answer_is_left_out_with_its_reason(tmp_path):
    with asking(Choir(), tmp_path) as (_, ask):
        found = choose(answer(INQUIRY, ITEMS, Sampling(), ask), Choose.FIRST, None, ask)
    assert [item.words.strip() for item in found.kept] == ["one two", "la"]
    assert sorted(reason.split(":")[0] for _, reason in found.dropped) == ["declined", "refused by the teacher"]
    kept = found.kept[0]
    assert (kept.source.method, kept.source.teacher, kept.facts.model) == (Method.LABELLED, "large", "large")
    assert kept.source.parents == (ITEMS[0].id,)


def test_the_best_of_several_is_kept(tmp_path):
    with asking(Choir(), tmp_path) as (rules, ask):
        given = answer(INQUIRY, ITEMS[3:], Sampling(4), ask)
        found = choose(given, Choose.BEST, JUDGE, ask)
        asked = len(rules.asked)
        assert choose(given, Choose.BEST, JUDGE, ask, least=0.9).kept == ()
        assert len(rules.asked) == asked
    assert found.kept[0].words.count("la") == 4
    assert found.kept[0].facts.grade == pytest.approx(4 / 9)
    assert found.kept[0].facts.metadata == {"judge": "judge", "of": "4"}


def test_pairs_are_confirmed_in_both_orders(tmp_path):
    with asking(Choir(), tmp_path) as (_, ask):
        found = choose(answer(INQUIRY, [ITEMS[0], ITEMS[3]], Sampling(3), ask), Choose.PAIRS, JUDGE, ask)
    assert [(item.kind, item.words.count("la"), item.rejected["content"].count("la")) for item in found.kept] == [
        (Kind.PREFERENCE, 3, 1)
    ]
    assert found.dropped[0][1].startswith("no pair")


def test_a_judge_that_gives_no_score_has_not_judged_too_low(tmp_path):
    choir = Choir()

    def silent(words, call):
        return {"reason": "who knows", "score": None} if words.startswith("score") else choir(words, call)

    with asking(silent, tmp_path) as (_, ask):
        given = answer(INQUIRY, ITEMS[3:], Sampling(2), ask)
        for how in (Choose.BEST, Choose.PAIRS):
            [(_, reason)] = choose(given, how, JUDGE, ask).dropped
            assert reason.startswith("not judged")


def test_a_pair_that_the_comparison_does_not_confirm_is_none(tmp_path):
    choir = Choir()

    def swayed(words, call):
        return {"reason": "", "better": "first"} if words.startswith("pair") else choir(words, call)

    with asking(swayed, tmp_path) as (_, ask):
        assert choose(answer(INQUIRY, ITEMS[3:], Sampling(2), ask), Choose.PAIRS, JUDGE, ask).kept == ()


def test_all_answers_are_items_of_their_own(tmp_path):
    with asking(Choir(), tmp_path) as (_, ask):
        found = choose(answer(INQUIRY, ITEMS[3:], Sampling(3), ask), Choose.ALL, None, ask)
    assert [item.source.row for item in found.kept] == [1, 2, 3]
    assert len({item.id for item in found.kept}) == 3


def test_a_system_message_is_shown_to_the_teacher_and_kept_if_wanted(tmp_path):
    with asking(Choir(), tmp_path) as (rules, ask):
        plain = choose(answer(INQUIRY, ITEMS[:1], Sampling(system="Be brief."), ask), Choose.FIRST, None, ask)
        kept = choose(
            answer(INQUIRY, ITEMS[:1], Sampling(system="Be brief.", keep_system=True), ask), Choose.FIRST, None, ask
        )
    assert rules.asked[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [len(found.kept[0].messages) for found in (plain, kept)] == [1, 2]


def test_best_needs_a_judge(tmp_path):
    with asking(Choir(), tmp_path) as (_, ask), pytest.raises(UsageError, match="name a judge"):
        choose(answer(INQUIRY, ITEMS[:1], Sampling(), ask), Choose.BEST, None, ask)
    with pytest.raises(UsageError, match=re.escape("at least once, not 0 times")):
        Sampling(0)


def test_samples_are_calls_of_their_own():
    assert len({question.digest("x") for question in opening(INQUIRY, ITEMS[:1], Sampling(3))}) == 3
