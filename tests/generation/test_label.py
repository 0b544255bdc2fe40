"""Items are labelled by what most answers say, and not where they disagree; what cannot be used is told."""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest

from stillhouse.data.items import Facts, Item, Kind, Media, Method, Source
from stillhouse.data.terms import Book as TermsBook
from stillhouse.data.terms import Terms, Use, check_use
from stillhouse.errors import TermsForbid, UsageError
from stillhouse.generation.book import Book
from stillhouse.generation.desk import Desk
from stillhouse.generation.flows import Made, ask_all, estimate
from stillhouse.generation.label import PLAIN, Labeller, LabelSettings
from stillhouse.generation.limits import Limits
from stillhouse.generation.templates import Template
from stillhouse.teachers.api import Endpoint
from tests.gateway.serving import served
from tests.generation.scripted import Scripted, last_words

LABELS = ("billing", "shipping", "other")
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def text(words: str, **facts) -> Item:
    return Item(
        Kind.TEXT, ({"role": "user", "content": words},), facts=Facts(**facts), source=Source(origin="a", row=3)
    )


@contextmanager
def desk_of(script, tmp_path):
    scripted = Scripted(script)
    with served(scripted.app()) as url:
        yield (
            Desk(Endpoint(url), Book(tmp_path / "book.jsonl"), Limits(at_once=4, retries=1, first_wait=0.01)),
            scripted,
        )


def label_all(desk: Desk, items, labeller: Labeller) -> tuple[list[Item], Made]:
    done: list[int] = []
    ask_all(desk, lambda: items, labeller.begin, done.append)
    assert done == list(range(1, len(items) + 1))
    made = Made(desk, lambda: items, labeller.begin)
    return list(made.items()), made


def by_words(call: dict, before: int) -> str:
    asked = last_words(call).rpartition("\n")[2]
    return "Billing." if "money" in asked else "The label is: shipping" if "parcel" in asked else "hm"


def test_items_get_the_label_that_is_named(tmp_path):
    items = [text("my money"), text("a parcel", tags=("old",)), text("what")]
    labeller = Labeller("m", PLAIN, LabelSettings(labels=LABELS, retries=1), teacher="desk")
    with desk_of(by_words, tmp_path) as (desk, scripted):
        found, rest = label_all(desk, items, labeller)
        assert [item.label for item in found] == ["billing", "shipping"]
        assert (found[0].source.method, found[0].source.teacher) == (Method.LABELLED, "desk")
        assert (found[0].source.parents, found[0].source.row) == ((items[0].id,), 3)
        assert found[1].facts.tags == ("old",)
        assert rest.counts == {"kept": 2, "no label": 1}
        assert rest.dropped == [(items[2], "no label: 'hm' is none of the labels")]
        assert len(scripted.asked) == 4
        corrected = scripted.asked[-1]["messages"]
        assert [each["role"] for each in corrected] == ["user", "assistant", "user"]
        assert "'hm' is none of the labels" in corrected[-1]["content"]
        assert ask_all(desk, lambda: items, labeller.begin).asked == 0
        assert estimate(desk, lambda: items, labeller.begin).calls == 0


def test_samples_vote_and_where_they_disagree_there_is_no_label(tmp_path):
    said = {"agreed": ["billing", "billing", "shipping"], "split": ["billing", "shipping", "other"]}

    def script(call, before):
        return said[last_words(call).rpartition("\n")[2]][before]

    labeller = Labeller("m", PLAIN, LabelSettings(labels=LABELS, samples=3, agree=0.6))
    with desk_of(script, tmp_path) as (desk, scripted):
        agreed, split = label_all(desk, [text("agreed"), text("split")], labeller)[0]
    assert (agreed.label, agreed.facts.grade) == ("billing", 0.666667)
    assert agreed.soft == {"billing": 0.666667, "shipping": 0.333333}
    assert (split.label, split.facts.tags, split.facts.grade) == (None, ("unsure",), 0.333333)
    assert len(scripted.asked) == 6


def test_samples_may_come_of_one_call_and_what_lacks_is_asked(tmp_path):
    def script(call, before):
        return ["billing", "billing"] if "n" in call else "shipping"

    labeller = Labeller("m", PLAIN, LabelSettings(labels=LABELS, samples=3, together=True))
    with desk_of(script, tmp_path) as (desk, scripted):
        (item,) = label_all(desk, [text("x")], labeller)[0]
    assert ([call.get("n") for call in scripted.asked], item.facts.grade) == ([3, None], 0.666667)


def test_answers_that_cannot_be_used_agree_with_nothing(tmp_path):
    said = iter(["billing", "hm", "hm", "hm", "hm"])
    labeller = Labeller("m", PLAIN, LabelSettings(labels=LABELS, samples=5, agree=0.6, retries=0))
    with desk_of(lambda call, before: next(said), tmp_path) as (desk, _):
        [item] = label_all(desk, [text("x")], labeller)[0]
    assert (item.label, item.facts.tags, item.facts.grade) == (None, ("unsure",), 0.2)


def test_shares_of_samples_are_no_probabilities(tmp_path):
    said = iter(["billing", "billing", "shipping"])
    labeller = Labeller("m", PLAIN, LabelSettings(labels=LABELS, samples=3, sure=0.9))
    with desk_of(lambda call, before: next(said), tmp_path) as (desk, _):
        [item] = label_all(desk, [text("x")], labeller)[0]
    assert (item.label, item.facts.tags, item.soft["billing"]) == ("billing", (), 0.666667)


def test_labels_that_differ_only_in_case_are_refused():
    with pytest.raises(UsageError, match="'A' and 'a' differ only in case"):
        LabelSettings(labels=("A", "b", "a"))
    with pytest.raises(UsageError, match="cannot mean that the teacher is unsure"):
        LabelSettings(labels=("Unsure", "b"), unsure="unsure")


def test_a_teacher_may_say_that_it_is_unsure(tmp_path):
    template = Template(user="One of {label_names}, or: cannot tell.\n{text}")
    labeller = Labeller("m", template, LabelSettings(labels=LABELS, unsure="cannot tell"))
    with desk_of(lambda call, before: "Cannot tell", tmp_path) as (desk, _):
        (item,) = label_all(desk, [text("x")], labeller)[0]
    assert (item.label, item.facts.tags) == (None, ("unsure",))


def bet(token: str, share: float, *others: tuple[str, float]) -> dict:
    top = [{"token": one, "logprob": math.log(each)} for one, each in ((token, share), *others)]
    return {**top[0], "top_logprobs": top}


def test_log_probabilities_become_soft_labels_and_a_threshold(tmp_path):
    content = [bet("bill", 0.5, ("ship", 0.45), ("oth", 0.05)), bet("ing", 1.0)]
    choice = {
        "message": {"role": "assistant", "content": "billing"},
        "finish_reason": "stop",
        "logprobs": {"content": content},
    }
    with desk_of(lambda call, before: choice, tmp_path) as (desk, scripted):
        sure = Labeller("m", PLAIN, LabelSettings(labels=LABELS, logprobs=True))
        (item,) = label_all(desk, [text("x")], sure)[0]
        assert item.label == "billing"
        assert item.soft == pytest.approx({"billing": 0.5, "shipping": 0.45, "other": 0.05}, abs=1e-4)
        assert item.facts.grade == item.soft["billing"]
        assert scripted.asked[0]["top_logprobs"] == 20
        unsure = Labeller("m", PLAIN, LabelSettings(labels=LABELS, logprobs=True, sure=0.6))
        (item,) = label_all(desk, [text("x")], unsure)[0]
        assert (item.label, len(scripted.asked)) == (None, 1)
        assert item.soft["shipping"] == pytest.approx(0.45, abs=1e-4)


SCHEMA = {
    "type": "object",
    "properties": {"why": {"type": "string"}, "label": {"enum": list(LABELS)}},
    "required": ["label", "why"],
}


def test_answers_that_do_not_fit_the_schema_are_asked_again_and_then_told(tmp_path):
    def script(call, before):
        asked = call["messages"][0]["content"]
        if asked == "never":
            return '{"label": "billing"}'
        if asked == "soon" and len(call["messages"]) == 1:
            return "no JSON at all"
        return '{"label": "shipping", "why": "a parcel"}'

    labeller = Labeller("m", Template(user="{text}", schema=SCHEMA), LabelSettings(labels=LABELS, retries=2))
    items = [text("well"), text("soon"), text("never")]
    with desk_of(script, tmp_path) as (desk, scripted):
        found, rest = label_all(desk, items, labeller)
    assert [item.label for item in found] == ["shipping", "shipping"]
    assert json.loads(found[0].words)["why"] == "a parcel"
    assert scripted.asked[0]["response_format"]["json_schema"]["schema"] == SCHEMA
    assert rest.dropped == [(items[2], "does not fit the schema: 'why' is a required property")]
    assert len(scripted.asked) == 1 + 2 + 3


def test_without_labels_any_answer_is_kept(tmp_path):
    labeller = Labeller("m", Template(user="Sum up: {text}"), LabelSettings())
    with desk_of(lambda call, before: " short \n", tmp_path) as (desk, _):
        (item,) = label_all(desk, [text("long")], labeller)[0]
    assert (item.label, item.words, item.facts.model) == (None, " short \n", "m")


def test_what_lacks_a_blank_or_is_refused_is_told_and_the_rest_goes_on(tmp_path):
    template = Template(user="{text} {truth}")
    items = [
        text("a"),
        Item(Kind.TEXT, text("b").messages, truth="t"),
        Item(Kind.TEXT, text("rude").messages, truth="t"),
    ]
    labeller = Labeller("m", template, LabelSettings())
    with desk_of(lambda call, before: (400, "No.") if "rude" in last_words(call) else "yes", tmp_path) as (desk, _):
        found, rest = label_all(desk, items, labeller)
    assert [item.text for item in found] == ["b"]
    assert [reason for _, reason in rest.dropped] == [
        "it has nothing for the blank {truth}",
        "refused by the teacher: The teacher refused the call with status 400. It says: No.",
    ]


def test_rows_of_50_mb_are_told_and_the_rest_goes_on(tmp_path):
    items = [text("x" * 50_000_000), text("money")]
    labeller = Labeller("m", PLAIN, LabelSettings(labels=LABELS))
    with desk_of(by_words, tmp_path) as (desk, _):
        found, rest = label_all(desk, items, labeller)
    assert [item.label for item in found] == ["billing"]
    assert [reason for _, reason in rest.dropped] == [
        "refused by the teacher: the question has 48 MB, and at most 32 are sent"
    ]


def test_pictures_are_shown(tmp_path):
    files = {"a": PNG, "b": b"<html>"}

    def picture(name: str, kind: str = "image/png") -> Item:
        return Item(Kind.IMAGE, media=(Media(name, kind, f"{name}.png", len(files.get(name, b""))),))

    labeller = Labeller("m", PLAIN, LabelSettings(labels=LABELS), lambda media: files[media.digest])
    items = [picture("a"), picture("b"), picture("a", "audio/wav")]
    with desk_of(lambda call, before: "other", tmp_path) as (desk, scripted):
        found, rest = label_all(desk, items, labeller)
    assert [item.label for item in found] == ["other"]
    parts = scripted.asked[0]["messages"][-1]["content"]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert parts[1]["type"] == "text"
    assert [reason for _, reason in rest.dropped] == [
        "no picture: b.png is none, whatever its type image/png says",
        "no picture: a.png is audio/wav",
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"samples": 0}, {"agree": 2}, {"labels": ("a",)}, {"labels": ("a", "a")}, {"labels": ("a", "b"), "unsure": "a"}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        LabelSettings(**wrong)


def test_label_names_need_labels():
    with pytest.raises(UsageError, match=r"Nothing fills the blank \{label_names\}"):
        Labeller("m", PLAIN, LabelSettings())


def test_whoever_gave_the_answer_that_an_item_keeps_is_named_beside_who_labelled_it(tmp_path):
    said = {"role": "assistant", "content": "We will see."}
    items = [replace(text("my money", model="big-4o"), answer=said), text("my money, please", model="big-4o")]
    labeller = Labeller("m", PLAIN, LabelSettings(labels=LABELS), teacher="desk")
    with desk_of(by_words, tmp_path) as (desk, _):
        found, _ = label_all(desk, items, labeller)
    assert [(item.source.teacher, item.facts.model) for item in found] == [
        ("big-4o+desk", "big-4o"),
        ("desk", "big-4o"),
    ]
    closed = TermsBook({"big": Terms("big", (Use.EVALUATE,), models=("big-*",))})
    with pytest.raises(TermsForbid, match="1 rows were answered by big-4o"):
        check_use(Counter(item.source.teacher for item in found), closed, Use.TRAIN)
    asked = Labeller("m", Template(user="{text}"), LabelSettings(), teacher="desk")
    with desk_of(by_words, tmp_path / "again") as (desk, _):
        [answered, _], _ = label_all(desk, items, asked)
    assert (answered.source.teacher, answered.facts.model) == ("desk", "m")
