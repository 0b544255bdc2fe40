"""Judges in both orders, scores, ties and abstentions."""

from __future__ import annotations

import json

import pytest

from stillhouse.data.items import Item, Kind
from stillhouse.generation.inquiry import Inquiry
from stillhouse.generation.judge import Judge, Verdict, asked_text, compare, compared, score, scored, told
from stillhouse.generation.questions import Reply
from tests.generation.rules import Words, asking

ITEM = Item(Kind.CHAT, ({"role": "user", "content": "Which?"},))
PAIR = Inquiry("judge", Words("{question}|{first}|{second}"))
ONE = Inquiry("judge", Words("{question}|{answer}"))
JUDGE = Judge(ONE, PAIR)


def reply(words):
    return Reply("k", ({"message": {"role": "assistant", "content": words}, "finish_reason": "stop"},))


def better(word):
    return reply(json.dumps({"reason": f"it is {word}", "better": word}))


@pytest.mark.parametrize(
    ("straight", "swapped", "verdict", "swayed"),
    [
        ("first", "second", Verdict.A, False),
        ("second", "first", Verdict.B, False),
        ("first", "first", Verdict.TIE, True),
        ("second", "second", Verdict.TIE, True),
        ("equal", "equal", Verdict.TIE, False),
        ("first", "equal", Verdict.A, False),
        ("equal", "first", Verdict.B, False),
        ("cannot tell", "first", Verdict.NONE, False),
        ("first", "what?", Verdict.NONE, False),
    ],
)
def test_only_what_holds_in_both_orders_counts(straight, swapped, verdict, swayed):
    found = compared({"k/ab": better(straight), "k/ba": better(swapped)}, "k")
    assert (found.verdict, found.swayed) == (verdict, swayed)
    assert found.reasons == (f"it is {straight}", f"it is {swapped}")


def test_an_answer_that_is_missing_is_no_verdict():
    assert compared({"k/ab": better("first")}, "k").verdict is Verdict.NONE


def test_a_judge_that_loves_the_first_place_decides_nothing(tmp_path):
    def rule(words, call):
        assert call["response_format"]["json_schema"]["schema"]["properties"]["better"]["enum"]
        return {"reason": "it stands first", "better": "first"}

    with asking(rule, tmp_path) as (rules, ask):
        found = compared(ask(compare(PAIR, "k", ITEM, "good", "bad")), "k")
    assert (found.verdict, found.swayed) == (Verdict.TIE, True)
    assert [call["messages"][0]["content"] for call in rules.asked] == ["Which?|good|bad", "Which?|bad|good"]


def test_a_judge_that_reads_finds_the_better_one_in_either_place(tmp_path):
    def rule(words, _):
        return {
            "reason": "longer",
            "better": "first" if len(words.split("|")[1]) > len(words.split("|")[2]) else "second",
        }

    with asking(rule, tmp_path) as (_, ask):
        assert compared(ask(compare(PAIR, "k", ITEM, "a", "long")), "k").verdict is Verdict.B


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ('{"reason": "", "score": 1}', 0.0),
        ('{"reason": "", "score": 10}', 1.0),
        ('{"reason": "", "score": null}', None),
        ('{"reason": "", "score": 11}', None),
        ('{"reason": "", "score": true}', None),
        ('{"score": "7"}', None),
        ("7", None),
    ],
)
def test_scores_are_shares_or_nothing(words, found):
    assert scored(reply(words)) == found
    assert scored(None) is None


def test_an_answer_is_scored_beside_its_question(tmp_path):
    from dataclasses import replace

    with asking(lambda *_: {"reason": "", "score": 4}, tmp_path) as (rules, ask):
        item = replace(ITEM, answer={"role": "assistant", "content": "This one."})
        assert scored(ask([score(JUDGE.scoring, "k", item)])["k"]) == pytest.approx(1 / 3)
    assert rules.asked[0]["messages"][0]["content"] == "Which?|This one."


def test_conversations_are_shown_turn_by_turn():
    turns = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"})
    assert asked_text(Item(Kind.CHAT, turns)) == "system: Be brief.\n\nuser: Hi"


def test_a_label_is_named_among_those_there_are():
    assert told(["Red", "Blue"], reply('{"label": "blue"}')) == "Blue"
    assert told(["Red", "Blue"], reply('{"label": "green"}')) is None
    assert told(["Red"], None) is None
