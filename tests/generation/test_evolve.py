"""Prompts that evolve, and what is left out on the way."""

from __future__ import annotations

from collections import Counter

import pytest

from stillhouse.data.items import Item, Kind
from stillhouse.errors import UsageError
from stillhouse.generation.evolve import WAYS, Course, Way, evolve, opening, stunted
from stillhouse.generation.inquiry import Inquiry
from tests.generation.rules import Words, asking

INQUIRY = Inquiry("large", Words("{prompt}|{change}"))


def item(text):
    return Item(Kind.CHAT, ({"role": "system", "content": "Be kind."}, {"role": "user", "content": text}))


ITEMS = [item(text) for text in ("Explain the tides", "Name a colour of the sea", "Write a poem about rain")]


def grows(words, _):
    prompt, change = words.split("|")
    return {"prompt": f"{prompt} and then {change.split()[0].lower()} what nobody has asked about it before"}


def test_prompts_evolve_round_upon_round(tmp_path):
    with asking(grows, tmp_path) as (rules, ask):
        found = evolve(INQUIRY, ITEMS, Course(2), ask)
    assert len(found.kept) == 6
    assert len(rules.asked) == 6
    first, second = found.kept[:3], found.kept[3:]
    assert [child.source.parents for child in first] == [(parent.id,) for parent in ITEMS]
    assert [child.source.parents for child in second] == [(parent.id,) for parent in first]
    assert all(child.messages[0] == {"role": "system", "content": "Be kind."} for child in found.kept)
    assert all(child.facts.metadata["way"] in WAYS for child in found.kept)


def test_what_did_not_evolve_tries_another_way_from_its_parent(tmp_path):
    def rule(words, _):
        prompt, change = words.split("|")
        return {"prompt": prompt} if change == WAYS[Way.CONSTRAIN] else grows(words, _)

    course = Course(6, (Way.CONSTRAIN, Way.BROADEN))
    with asking(rule, tmp_path) as (_, ask):
        found = evolve(INQUIRY, ITEMS[:1], course, ask)
    counts = Counter(reason.split(":")[0] for _, reason in found.dropped)
    assert counts["did not evolve"] + len(found.kept) == 6
    at_once = [child.source.parents for child, _ in found.dropped]
    assert len(set(at_once)) == len(at_once), "no parent fails the same way twice"
    assert len(found.kept) > 0
    lines = {child.source.parents[0] for child in found.kept}
    assert lines <= {ITEMS[0].id, *(child.id for child in found.kept)}


def test_a_parent_that_tried_every_way_is_asked_nothing_more(tmp_path):
    with asking(lambda words, _: {"prompt": words.split("|")[0]}, tmp_path) as (rules, ask):
        found = evolve(INQUIRY, ITEMS, Course(9, (Way.CONSTRAIN, Way.DEEPEN, Way.BROADEN)), ask)
    assert (len(found.dropped), len(rules.asked)) == (9, 9)
    assert len({(child.source.parents, child.facts.metadata["way"]) for child, _ in found.dropped}) == 9


def test_the_way_is_the_same_each_time():
    assert [Course(1).way(each, 0) for each in ITEMS] == [Course(1).way(each, 0) for each in ITEMS]
    assert {Course(1, seed=seed).way(ITEMS[0], 0) for seed in range(40)} == set(Course().ways)
    assert len(opening(INQUIRY, ITEMS, Course(3))) == 3


@pytest.mark.parametrize(
    ("child", "way", "reason"),
    [
        ("Explain the tides!", Way.DEEPEN, "did not evolve: 1.00"),
        ("Explain to me the tides", Way.REWORD, None),
        ("Explain the tides.", Way.REWORD, "did not evolve: 1.00"),
        ("The rewritten prompt: explain the tides of Venus", Way.DEEPEN, "repeats the instruction: 'rewritten prompt'"),
        ("How to do this?!", Way.DEEPEN, "says nothing"),
        ("", Way.DEEPEN, "says nothing"),
        ("tides " * 600, Way.DEEPEN, "too long"),
        ("Explain the tides of a planet with two moons", Way.DEEPEN, None),
    ],
)
def test_what_is_stunted(child, way, reason):
    found = stunted("Explain the tides", child, way)
    assert found is None if reason is None else found.startswith(reason)


def test_answers_and_truths_do_not_outlive_their_prompt(tmp_path):
    from dataclasses import replace

    old = replace(ITEMS[0], answer={"role": "assistant", "content": "By the moon."}, truth="moon", soft={"a": 1.0})
    with asking(grows, tmp_path) as (_, ask):
        child = evolve(INQUIRY, [old], Course(), ask).kept[0]
    assert (child.answer, child.truth, dict(child.soft)) == (None, None, {})


def test_a_course_has_ways():
    with pytest.raises(UsageError, match="at least one round and one way"):
        Course(1, ())
