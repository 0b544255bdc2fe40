"""Grades and preferences by a judge that answers over HTTP."""

from __future__ import annotations

from stillhouse.data.items import Item, Kind
from stillhouse.generation.grading import compare_items, comparing_questions, grade_items, grading_questions
from stillhouse.generation.inquiry import Inquiry
from tests.generation.rules import Words, asking

ONE, TWO = Inquiry("judge", Words("{question}|{answer}")), Inquiry("judge", Words("{question}|{first}|{second}"))


def said(answer, rejected=None):
    worse = None if rejected is None else {"role": "assistant", "content": rejected}
    kind = Kind.CHAT if rejected is None else Kind.PREFERENCE
    answered = {"role": "assistant", "content": answer} if answer else None
    return Item(kind, ({"role": "user", "content": "Which?"},), answered, worse)


def test_every_answer_gets_its_grade_or_none(tmp_path):
    def rule(words, _):
        return {"reason": "", "score": {"good": 10, "bad": 1}.get(words.split("|")[1])}

    with asking(rule, tmp_path) as (rules, ask):
        found = grade_items(ONE, [said("good"), said("bad"), said("odd"), said("")], ask)
    assert [item.facts.grade for item in found.kept] == [1.0, 0.0, None]
    assert [reason for _, reason in found.dropped] == ["nothing to judge: it has no answer"]
    assert len(rules.asked) == len(grading_questions(ONE, [said("good"), said("bad"), said("odd"), said("")])) == 3


def test_preferences_are_turned_where_the_judge_finds_so(tmp_path):
    def rule(words, _):
        first, second = words.split("|")[1:]
        if "swayed" in words:
            return {"reason": "", "better": "first"}
        if "?" in words.split("|")[1] + words.split("|")[2]:
            return {"reason": "", "better": "cannot tell"}
        return {"reason": "", "better": "first" if len(first) > len(second) else "second"}

    items = [said("longer", "short"), said("short", "longer"), said("swayed 1", "swayed 2"), said("a?", "b"), said("x")]
    with asking(rule, tmp_path) as (_, ask):
        found = compare_items(TWO, items, ask)
    assert [item.words for item in found.kept] == ["longer", "longer"]
    assert [item.rejected["content"] for item in found.kept] == ["short", "short"]
    assert found.counts == {"kept": 2, "no preference": 1, "not judged": 1, "nothing to judge": 1}
    assert len(comparing_questions(TWO, items)) == 8
    assert found.kept[0].facts.metadata == {"judge": "judge", "turned": "no"}
