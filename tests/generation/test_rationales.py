"""Reasons are kept when they lead to the known answer by themselves, and teach something; others are told with why."""

from __future__ import annotations

import pytest

from stillhouse.data.items import Facts, Item, Kind, Method
from stillhouse.errors import UsageError
from stillhouse.generation.book import Book
from stillhouse.generation.desk import Desk
from stillhouse.generation.flows import Made, ask_all
from stillhouse.generation.inquiry import Unusable
from stillhouse.generation.limits import Limits
from stillhouse.generation.rationales import (
    THINK,
    RationaleSettings,
    Reasoner,
    agrees,
    explained_row,
    known_answer,
    trim,
)
from stillhouse.generation.templates import Template
from stillhouse.tasks.explained import asked_twice
from stillhouse.teachers.api import Endpoint
from tests.gateway.serving import served
from tests.generation.scripted import Scripted

GOOD = "Six boxes hold three pens each, and six times three is eighteen."


def item(question: str = "How many pens are in 6 boxes of 3?", truth: str | None = "18", **more) -> Item:
    return Item(Kind.TEXT, ({"role": "user", "content": question},), truth=truth, **more)


def explained(said, tmp_path, items=None, **settings):
    """The items and what was left out, when a teacher says `said` to the first question, or goes by a function."""
    script = said if callable(said) else lambda call, before: said
    scripted = Scripted(script)
    reasoner = Reasoner("m", settings.pop("template", THINK), RationaleSettings(**settings), teacher="sage")
    wanted = items or [item()]
    with served(scripted.app()) as url:
        desk = Desk(Endpoint(url), Book(tmp_path / "book.jsonl"), Limits(retries=0))
        ask_all(desk, lambda: wanted, reasoner.begin)
        rest = Made(desk, lambda: wanted, reasoner.begin)
        found = list(rest.items())
    return found, [reason for _, reason in rest.dropped], scripted


def test_reasons_that_lead_to_the_answer_are_kept_and_trimmed(tmp_path):
    said = f"Sure! Let's think step by step.\n\n{GOOD}  \n\nAnswer: 18 pens"
    (found,), left, scripted = explained(said, tmp_path)
    assert (found.rationale, found.facts.grade, left) == (GOOD, 1.0, [])
    assert found.answer == {"role": "assistant", "content": "18"}
    assert (found.source.method, found.source.teacher, found.source.parents) == (Method.LABELLED, "sage", (item().id,))
    assert "18" not in scripted.asked[0]["messages"][-1]["content"]
    row = explained_row(found)
    assert row == {"prompt": item().text, "completion": "18", "rationale": GOOD}
    assert [each["completion"] for each in asked_twice(row)] == ["18", GOOD]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"{GOOD}\nAnswer: 17", "wrong answer: '17', not '18'"),
        (GOOD, "no answer: nothing marks it in"),
        ("Thus.\nAnswer: 18", "length: 1 words"),
        ("word " * 301 + "\nAnswer: 18", "length: 301 words"),
        ("The correct answer is given as 18, and so it is eighteen.\nAnswer: 18", "leak: it says that it was told"),
        ("18 18 18 18 is 18\nAnswer: 18", "leak: it only says the answer again"),
        ("How many pens are in 6 boxes of 3?\nAnswer: 18", "copy: 100% of it stands in the question"),
    ],
)
def test_other_reasons_are_left_out_with_why(tmp_path, said, reason):
    found, left, _ = explained(said, tmp_path, hint=False)
    assert (found, left[0][: len(reason)]) == ([], reason)


def test_reasons_may_have_to_keep_the_answer_to_themselves(tmp_path):
    said = f"{GOOD} That makes 18 in all.\nAnswer: 18"
    assert explained(said, tmp_path / "a", hint=False)[1] == []
    assert explained(said, tmp_path / "b", hint=False, silent=True)[1] == ["leak: it names the answer '18'"]
    asked = [item("Is it 18 or 19?")]
    assert explained(said, tmp_path / "c", asked, hint=False, silent=True)[1] == []


def test_the_first_right_chain_is_kept_and_the_share_of_right_ones(tmp_path):
    said = [f"{GOOD}\nAnswer: 2", f"{GOOD} Surely so.\nAnswer: 18", f"{GOOD}\nAnswer: 18", f"{GOOD}\nAnswer: 3"]
    (found,), _, scripted = explained(lambda call, before: said[before], tmp_path, samples=4)
    assert (found.facts.grade, len(scripted.asked)) == (0.5, 4)
    assert found.rationale in (f"{GOOD} Surely so.", GOOD)


def test_where_no_chain_is_right_the_answer_is_told_as_a_hint(tmp_path):
    def script(call, before):
        told = "The right answer is: 18" in call["messages"][-1]["content"]
        return f"{GOOD}\nAnswer: {18 if told else 3}"

    (found,), _, scripted = explained(script, tmp_path, [item(facts=Facts(tags=("old",)))])
    assert (found.facts.grade, found.facts.tags, len(scripted.asked)) == (0.0, ("old", "hinted"), 2)
    assert explained(script, tmp_path, hint=False)[1] == ["wrong answer: '3', not '18'"]


def test_answers_may_be_json(tmp_path):
    template = Template(
        user="{text}", schema={"type": "object", "required": ["reasons", "answer"], "properties": {"answer": {}}}
    )
    said = f'{{"reasons": "{GOOD}", "answer": 18}}'
    (found,), _, _ = explained(said, tmp_path / "a", template=template)
    assert found.rationale == GOOD
    left = explained('{"reasons": "x"}', tmp_path / "b", template=template, hint=False)[1]
    assert left == ["does not fit the schema: 'answer' is a required property"]


def test_what_is_not_known_or_refused_is_told(tmp_path):
    found, left, scripted = explained(lambda call, before: (400, "No."), tmp_path, [item(truth=None), item()])
    assert found == []
    assert left[0].startswith("no known answer")
    assert left[1].startswith("refused by the teacher")
    assert len(scripted.asked) == 2
    with pytest.raises(Unusable):
        known_answer(item(truth=None))


def test_a_template_does_not_tell_the_answer():
    with pytest.raises(UsageError, match=r"\{truth\}, which tells the answer"):
        Reasoner("m", Template(user="{text} {truth}"), RationaleSettings())
    for wrong in ({"samples": 0}, {"fewest": 10, "most": 5}, {"copied": 0}):
        with pytest.raises(UsageError):
            RationaleSettings(**wrong)


@pytest.mark.parametrize(
    ("said", "known", "same"),
    [
        ("$1,800.00", "1800", True),
        ("18 pens", "18", True),
        ("(c) Revolving door.", "revolving door", True),
        ("**Yes**", "yes", True),
        ("1801", "1800", False),
        ("a door", "revolving door", False),
        ("none", "18", False),
    ],
)
def test_answers_agree_by_what_they_say(said, known, same):
    assert agrees(said, known) is same


@pytest.mark.parametrize(
    "said",
    [
        f"{GOOD}\n**Answer:** 18",
        f"{GOOD}\nThe final answer is 18.",
        f"{GOOD}\n#### 18",
        f"{GOOD} So the answer is 18.",
        f"{GOOD}\nSo the answer is:\n18",
    ],
)
def test_the_answer_is_found_where_models_put_it(tmp_path, said):
    (found,), left, _ = explained(said, tmp_path, hint=False)
    assert (found.rationale, left) == (GOOD, [])


def test_white_space_and_lead_ins_go():
    assert trim(" ```Sure, a  b\n\n\n c ```") == "a b\nc"
    assert trim("Okay. Let's think step by step: one\n\n two") == "one\ntwo"


def test_a_conversation_stays_one():
    turns = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "6*3?"})
    row = explained_row(Item(Kind.CHAT, turns, answer={"role": "assistant", "content": "18"}, rationale="so"))
    assert row["prompt"] == list(turns)
    assert row["completion"] == [{"role": "assistant", "content": "18"}]
