from __future__ import annotations

import random

import pytest

from stillhouse.cli.main import run
from tests.cli.curating import add, caller, chat

TOPICS = {"sport": "goal match team striker league", "money": "stock market share profit bank"}


@pytest.fixture
def call(tmp_path, capsys):
    rng = random.Random(0)
    items = []
    for row in range(120):
        topic = rng.choice(list(TOPICS))
        words = " ".join(rng.choices(TOPICS[topic].split(), k=6)) + f" {row}"
        label = {"sport": "money", "money": "sport"}[topic] if row in (7, 70) else topic
        items.append(chat(words, None, row, label=label))
    add(tmp_path, "news", items)
    return caller(tmp_path, capsys)


def test_suspects_are_listed_likeliest_first(call, tmp_path, capsys):
    assert call("curate", "news", "--steps", "label-errors")[0] == 0
    code, told = call("suspects", "news")
    assert code == 0
    assert (told["dataset"], told["count"]) == ("news@2", 2)
    assert {each["text"].split()[-1] for each in told["suspects"]} == {"7", "70"}
    assert all({each["label"], each["suggested"]} == {"sport", "money"} for each in told["suspects"])
    margins = [each["margin"] for each in told["suspects"]]
    assert margins == sorted(margins, reverse=True)
    one = told["suspects"][0]["label"]
    assert call("suspects", "news", "--label", one, "--rows", "1")[1]["suspects"][0]["label"] == one
    assert run(["data", "suspects", "news", "--home", str(tmp_path)]) == 0
    assert "2 of 2 suspects of news@2." in capsys.readouterr().out


def test_without_suspects_it_is_told_how_to_look_for_them(call):
    code, told = call("suspects", "news")
    assert code == 2
    assert "stillhouse data curate news --steps label-errors" in told["error"]["message"]
