"""Flows are asked step by step, many at once, and told again from the book without asking anybody."""

from __future__ import annotations

import json

import pytest

from stillhouse.data.items import Item, Kind
from stillhouse.errors import DataError
from stillhouse.generation.book import Book
from stillhouse.generation.desk import Desk
from stillhouse.generation.flows import Flow, Made, ask_all, estimate
from stillhouse.generation.inquiry import Unusable
from stillhouse.generation.limits import Limits
from stillhouse.generation.questions import Question
from stillhouse.teachers.api import Endpoint
from tests.gateway.serving import served
from tests.generation.scripted import Scripted, last_words


def item(words: str) -> Item:
    return Item(Kind.TEXT, ({"role": "user", "content": words},))


def question(words: str, again: int = 0) -> Question:
    return Question("", json.dumps({"messages": [{"role": "user", "content": words}]}).encode(), again)


def countdown(one: Item) -> Flow:
    """Asks a number of questions at once, one less each time, and keeps all that was said."""
    words, _, count = one.text.partition(" ")
    if words == "lost":
        raise DataError("it is lost")
    heard: list[str] = []
    for left in range(int(count), 0, -1):
        replies = yield [question(f"{words} {left} {number}") for number in range(left)]
        heard.extend(reply.choices[0]["message"]["content"] for reply in replies)
    if words == "bad":
        raise Unusable("bad: it is")
    return Item(Kind.TEXT, one.messages, label=" ".join(heard))


@pytest.fixture
def scripted() -> Scripted:
    return Scripted(lambda call, before: last_words(call).replace(" ", "-"))


@pytest.fixture
def desk(scripted, tmp_path):
    with served(scripted.app()) as url:
        yield Desk(Endpoint(url), Book(tmp_path / "book.jsonl"), Limits(at_once=3))


def test_steps_follow_each_other_and_items_keep_their_order(desk, scripted):
    items = [item("a 2"), item("none 0"), item("bad 1"), item("lost 1"), item("b 3"), item("a 2")]
    done: list[int] = []
    tally = ask_all(desk, lambda: iter(items), countdown, done.append)
    assert (tally.asked, len(scripted.asked), done) == (3 + 1 + 6, 10, [1, 2, 3, 4, 5, 6])
    rest = Made(desk, lambda: iter(items), countdown)
    found = list(rest.items())
    assert [each.label for each in found] == [
        "a-2-0 a-2-1 a-1-0",
        "",
        "b-3-0 b-3-1 b-3-2 b-2-0 b-2-1 b-1-0",
        found[0].label,
    ]
    assert rest.dropped == [(items[2], "bad: it is"), (items[3], "it is lost")]
    assert rest.counts == {"kept": 4, "bad": 1, "it is lost": 1}
    assert len(scripted.asked) == 10


def test_what_was_not_asked_is_said_and_counted_ahead(desk, scripted):
    items = [item("a 2"), item("b 1")]
    assert estimate(desk, lambda: items, countdown).calls == 3
    ask_all(desk, lambda: items[:1], countdown)
    ahead = estimate(desk, lambda: items, countdown)
    assert (ahead.calls, ahead.cached, len(scripted.asked)) == (1, 3, 3)
    rest = Made(desk, lambda: items, countdown)
    found = list(rest.items())
    assert (len(found), rest.dropped) == (1, [(items[1], "not answered: the same command asks again")])


def test_ten_thousand_items_are_not_held(desk):
    pulled: list[int] = []

    def endless():
        for number in range(10_000):
            pulled.append(number)
            yield item(f"x{number} 1")

    def stop(done: int) -> None:
        if done == 20:
            raise KeyError("enough")

    with pytest.raises(KeyError):
        ask_all(desk, endless, countdown, stop)
    assert len(pulled) < 40
