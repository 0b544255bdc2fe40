"""The report of a compression: its sentence, its picture, and foreign words in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.reports.compression_record import CompressionRecord, FormRecord, GoalRecord, TestRecord
from stillhouse.reports.compression_report import asked, headline, pareto, render


def form(words: str, size: int, quality: float, reaches: bool = True) -> FormRecord:
    return FormRecord(
        combination={"layers": "6", "precision": "int8"},
        words=words,
        bytes=size,
        ms=size / 1e6,
        parameters=size // 4,
        quality=quality,
        drop=0.93 - quality,
        agreement=quality,
        damage=0.1,
        figures={},
        reaches=reaches,
    )


@pytest.fixture
def record() -> CompressionRecord:
    return CompressionRecord(
        model="models/<whole>",
        task="classification",
        goal=GoalRecord(5e6, None, 0.02, 400_000, 0.2),
        whole=form("nothing changed", 90_000_000, 0.93),
        forms=(form("layers 3, precision int8", 4_800_000, 0.92), form("rank 0.5", 3_000_000, 0.85, reaches=False)),
        chosen=0,
        test=TestRecord(0.915, 0.93, 0.96, {}),
        alone={"layers": {"6": 0.0, "3": 0.8}, "precision": {"float32": 0.0, "int8": 0.01}},
        rows={"train": 900, "selection": 100, "test": 300},
        run={"seed": 0, "seconds": 61.0, "command": "stillhouse compress <x>", "torch": "2.13.0"},
    )


def test_the_sentence_says_what_was_won_and_lost(record):
    assert headline(record) == "18.8 × smaller at 4.8 MB, 18.8 × faster, it loses 1.50 % of quality on test rows."
    assert asked(record) == "at most 5.0 MB and at most 2 % of quality lost"


def test_what_loses_nothing_is_not_said_to_gain(record):
    same = replace(record, test=TestRecord(0.93, 0.93, 1.0, {}))
    assert headline(same).endswith("it loses no quality on test rows.")
    assert "it gains 1.00 % of quality" in headline(replace(record, test=TestRecord(0.94, 0.93, 1.0, {})))


def test_the_sentence_says_what_was_missed(record):
    said = headline(replace(record, chosen=1))
    assert said.startswith("Nothing that was tried reaches at most 5.0 MB and at most 2 % of quality lost; the nearest")


@pytest.mark.parametrize(("chosen", "word"), [(0, "reached"), (1, "missed")])
def test_the_goal_is_reached_where_the_form_that_is_served_reaches_it(record, chosen, word):
    served = replace(record, chosen=chosen)
    assert served.to_json()["reached"] == (word == "reached")
    assert f">{word}<" in render(served, None)


def test_the_page_holds_every_form_and_escapes_what_is_foreign(record):
    page = render(record, None)
    assert "models/&lt;whole&gt;" in page
    assert "<whole>" not in page
    assert page.count("rank 0.5") >= 2
    assert "What is certified" not in page


@pytest.mark.parametrize("width", [928, 340])
def test_the_picture_draws_every_form_and_the_goals(record, width):
    drawn = str(pareto(record, width))
    assert drawn.count("<circle") == 3
    assert drawn.count('class="goal"') == 2
