"""New prompts from seeds, personas, documents and labels."""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.data.items import Item, Kind, Method
from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import Inquiry
from stillhouse.generation.novelty import ByWords
from stillhouse.generation.select import novel
from stillhouse.generation.synthesize import Plan, Wanted, lacking, opening, sound, synthesize
from tests.generation.rules import Words, asking

FORM = Words("{label}|{persona}|{document}|{count}|{examples}")
INQUIRY = Inquiry("large", FORM)
THINGS = ["bridges", "violins", "planets", "bakeries", "chess", "tides", "volcanoes", "beekeeping", "opera", "sailing"]


def seed(text, label=None):
    return Item(Kind.CHAT, ({"role": "user", "content": text},), label=label)


SEEDS = tuple(seed(f"Tell me number {number} of my lucky numbers") for number in range(9))


def inventive(words, call):
    """Prompts that no other question gets, but for one that is always the same."""
    chance = random.Random(zlib.crc32(json.dumps(call, sort_keys=True).encode()))
    made = [" ".join(chance.sample(THINGS, 4)).capitalize() for _ in range(4)]
    return {"prompts": [*made, "Draw a picture of a cat", "Explain what the moon is made of"]}


def test_prompts_come_from_seeds_until_there_are_enough(tmp_path):
    checks = [sound(), novel(ByWords(item.text for item in SEEDS))]
    with asking(inventive, tmp_path) as (rules, ask):
        found = synthesize(INQUIRY, Plan(SEEDS), Wanted(12, rounds=8), ask, checks)
    assert len(found.kept) == 12
    texts = [item.text for item in found.kept]
    assert len(set(texts)) == 12
    assert sum("moon" in text for text in texts) == 1
    assert not any("picture" in text for text in texts)
    reasons = Counter(reason.split(":")[0] for _, reason in found.dropped)
    assert {"not new", "needs what is not there"} <= set(reasons)
    assert all(item.source.method is Method.SYNTHETIC and item.source.teacher == "large" for item in found.kept)
    assert set(found.kept[0].source.parents) <= {item.id for item in SEEDS}
    assert len({item.id for item in found.kept}) == 12
    assert rules.asked[0]["messages"][0]["content"].count("lucky") == 8


def test_the_same_command_asks_the_same_and_pays_nothing(tmp_path):
    plan, wanted = Plan(SEEDS), Wanted(8, rounds=4, seed=3)
    with asking(inventive, tmp_path) as (rules, ask):
        first = synthesize(INQUIRY, plan, wanted, ask, [sound(), novel(ByWords())])
        asked = len(rules.asked)
        second = synthesize(INQUIRY, plan, wanted, ask, [sound(), novel(ByWords())])
        assert len(rules.asked) == asked
    assert [item.id for item in first.kept] == [item.id for item in second.kept]


def test_what_was_made_is_shown_in_later_rounds(tmp_path):
    with asking(lambda *_: {"prompts": ["Name three uses of a brick wall"]}, tmp_path) as (rules, ask):
        synthesize(INQUIRY, Plan(SEEDS, per_question=1), Wanted(2, rounds=2), ask, [novel(ByWords())])
    shown = ["brick" in call["messages"][0]["content"] for call in rules.asked]
    assert shown == [False, False, False, True]


def test_personas_and_documents_take_turns(tmp_path):
    plan = Plan((), ("a nurse", "a pilot"), ("On bees.", "On tides.", "On ice."), per_question=1)
    with asking(lambda words, _: {"prompts": [f"As {words} what would I ask today?"]}, tmp_path) as (rules, ask):
        found = synthesize(INQUIRY, plan, Wanted(6, rounds=1, waste=0), ask, [])
    asked = {tuple(call["messages"][0]["content"].split("|")[1:3]) for call in rules.asked}
    assert len(asked) == 6
    assert {item.facts.metadata["persona"] for item in found.kept} == {"a nurse", "a pilot"}


def test_every_label_gets_its_number(tmp_path):
    seeds = (seed("where is my card", "card"), seed("why this fee", "fee"))
    plan = Plan(seeds, labels={"card": "about cards", "fee": "about fees"}, per_question=2)
    wanted = Wanted(by_label={"card": 3, "fee": 1}, rounds=3)
    with asking(lambda words, _: {"prompts": [f"{words[:3]} number {at}" for at in range(2)]}, tmp_path) as (
        rules,
        ask,
    ):
        found = synthesize(INQUIRY, plan, wanted, ask, [])
    assert Counter(item.label for item in found.kept) == {"card": 3, "fee": 1}
    assert all(item.kind is Kind.TEXT for item in found.kept)
    assert all("fee" not in call["messages"][0]["content"] for call in rules.asked if "card|" in str(call["messages"]))


def test_replies_that_cannot_be_used_are_kept_aside(tmp_path):
    with asking(lambda *_: None, tmp_path) as (_, ask), pytest.raises(Exception, match="policy"):
        synthesize(INQUIRY, Plan(SEEDS), Wanted(50), ask, [])
    with asking(lambda *_: '{"prompts": []}', tmp_path) as (_, ask):
        found = synthesize(INQUIRY, Plan(SEEDS), Wanted(2, rounds=1), ask, [])
    assert found.kept == ()
    assert found.dropped[0][1] == "empty: the answer lists nothing"


def test_the_estimate_is_about_the_first_round():
    plan = Plan(SEEDS, per_question=5)
    assert len(opening(INQUIRY, plan, Wanted(70, waste=0.3))) == 20


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Hi", "too short: 1 words"),
        ("word " * 200, "too long: 200 words"),
        ("* write about this", "begins with a mark: '*'"),
        ("Describe the attached chart", "needs what is not there: 'attached'"),
        ("Describe the weather today", None),
        ("今日 の 天気 は", None),
    ],
)
def test_sound_prompts_stand_for_themselves(text, reason):
    assert sound()(seed(text)) == reason


def test_a_plan_needs_something_to_begin_with():
    with pytest.raises(UsageError, match="nothing to make prompts from"):
        Plan(())


COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 30), min_size=1)


@given(COUNTS, st.one_of(st.none(), st.integers(0, 40)), st.integers(0, 60))
def test_a_budget_lifts_the_rarest_labels_first(counts, target, budget):
    goal = max(counts.values()) if target is None else target
    whole = lacking(counts, target)
    assert all(counts[label] + rows == max(goal, counts[label]) for label, rows in whole.items())
    given_rows = lacking(counts, target, budget)
    assert sum(given_rows.values()) == min(budget, sum(whole.values()))
    after = {label: counts[label] + given_rows[label] for label in counts}
    low = min(after.values())
    assert all(after[label] <= low + 1 or not given_rows[label] for label in counts) or sum(whole.values()) <= budget
