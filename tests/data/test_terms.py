"""Terms: found by who answered; a use that they forbid, or that comes too late, is refused, the rows counted."""

from __future__ import annotations

import datetime
import gzip
import json

import pytest

from stillhouse.data.terms import Book, Terms, Use, apart, check_use, parts_of, teachers_in
from stillhouse.errors import TermsForbid, UsageError

TODAY = datetime.date(2026, 11, 22)
OPEN = Terms("open-model", licence="Apache-2.0")
API = Terms("big-api", (Use.EVALUATE, Use.SERVE), source="https://example.com/terms", models=("big-*",))
OLD = Terms("old", expires=datetime.date(2026, 11, 21))
BOOK = Book({each.teacher: each for each in (OPEN, API, OLD)})


@pytest.mark.parametrize("name", ["big-api", "big-4o", "big-api/some-model"])
def test_terms_are_found_by_teacher_by_model_and_by_both(name):
    assert BOOK.find(name) is API


def test_a_name_that_nobody_wrote_down_has_no_terms():
    assert BOOK.find("mini") is None
    assert BOOK.find("") is None


def test_a_forbidden_use_is_refused_with_reason_source_and_rows():
    with pytest.raises(TermsForbid) as refused:
        check_use({"big-4o": 1200, "open-model": 3, "old": 7, None: 5}, BOOK, Use.TRAIN, TODAY)
    told = str(refused.value)
    assert "1,200 rows were answered by big-4o: its terms allow evaluate, serve, not train" in told
    assert "https://example.com/terms" in told
    assert "7 rows were answered by old: its terms expired on 2026-11-21" in told
    assert "open-model" not in told


def test_what_is_allowed_passes_and_unknown_terms_are_a_note():
    assert check_use({"open-model": 3}, BOOK, Use.TRAIN, TODAY) == []
    assert check_use({"big-4o": 3}, BOOK, Use.EVALUATE, TODAY) == []
    [note] = check_use({"mini": 3, None: 4}, BOOK, Use.TRAIN, TODAY)
    assert "3 rows were answered by mini" in note
    assert "stillhouse terms add mini" in note
    assert check_use({"mini": 3}, Book(), Use.TRAIN, TODAY) == []


def test_terms_hold_on_their_last_day():
    assert check_use({"old": 1}, BOOK, Use.TRAIN, datetime.date(2026, 11, 21)) == []


def test_a_teacher_that_will_be_asked_is_refused_before_it_is():
    with pytest.raises(TermsForbid, match="big-api is asked: its terms allow"):
        check_use({"big-api": 0}, BOOK, Use.TRAIN, TODAY)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("c4+", ["c4+"]),
        ("c4++other", ["c4+", "other"]),
        ("a+c4+", ["a", "c4+"]),
        ("one+other", ["one", "other"]),
        ("sight+sound", ["sight+sound"]),
        ("a+sight+sound+z", ["a", "sight+sound", "z"]),
        ("big-1+other", ["big-1", "other"]),
        ("", []),
    ],
)
def test_a_vote_names_its_teachers_and_a_plus_in_a_name_is_its_own(name, parts):
    book = Book({each.teacher: each for each in (API, Terms("both", models=("sight+sound",)))})
    assert book.apart(name) == parts
    assert apart({name: 2}, book) == dict.fromkeys(parts or [None], 2)


@pytest.mark.parametrize("name", ["c4+", "c4++big-4o", "a+c4+", "vision+text", "open-model+vision+text"])
def test_terms_of_a_teacher_with_a_plus_in_its_name_hold(name):
    closed = Terms("c4+", (Use.EVALUATE,)), Terms("vision+text", (Use.EVALUATE,))
    book = Book({each.teacher: each for each in (OPEN, Terms("big-4o"), *closed)})
    with pytest.raises(TermsForbid, match="its terms allow evaluate, not train"):
        check_use({name: 10}, book, Use.TRAIN, TODAY)


def test_a_pattern_does_not_hide_the_others_in_a_vote():
    with pytest.raises(TermsForbid, match="were answered by old: its terms expired"):
        check_use({"big-4o+old": 1}, BOOK, Use.SERVE, TODAY)
    assert parts_of("big-4o+old") == ["big-4o", "old"]


@pytest.mark.parametrize("terms", [OPEN, API, OLD])
def test_terms_survive_json(terms):
    assert Terms.from_json(json.loads(json.dumps(terms.to_json()))) == terms


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"allowed": ["sell"]}, "'sell' is no use.*train, evaluate, serve, commercial"),
        ({"expires": "soon"}, "'soon' is no day"),
        ({"source": "example.com"}, "no address"),
        ({"snapshot": "abc"}, "no SHA-256"),
        ({"allow": ["train"]}, "Terms have no 'allow'"),
        ({"teacher": " "}, "name of the teacher"),
    ],
)
def test_wrong_terms_are_told(told, words):
    with pytest.raises(UsageError, match=words):
        Terms.from_json({"teacher": "a", **told})


def test_rows_of_files_are_counted_by_who_answered(tmp_path):
    rows = [{"model": "big-1"}, {"source": {"teacher": "t"}, "model": "x"}, {"facts": {"model": "y"}}, {"messages": []}]
    path = tmp_path / "calls.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows) + b"no json\n"))
    assert teachers_in(path) == {"big-1": 1, "t": 1, "y": 1, None: 2}


def test_listed_terms_are_those_of_the_teachers_there_are():
    assert BOOK.listed(["big-1", "big-2", None, "mini", "open-model"]) == [API, OPEN]


def test_rows_that_several_teachers_made_together_count_for_each():
    with pytest.raises(TermsForbid, match=r"5 rows were answered by old"):
        check_use({"old+open-model": 4, "old": 1}, BOOK, Use.TRAIN, TODAY)
    assert check_use({"open-model+open-model": 2}, BOOK, Use.TRAIN, TODAY) == []
