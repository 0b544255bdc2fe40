"""Trace: rows about a person are found by name, id and words; what everybody says is nobody's."""

from __future__ import annotations

import io
import json
import os
from collections import Counter

import orjson
import pytest

from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.data.trace import ERASED, Trace

WORDS = "My parcel to Lindenweg 17 in Jena has not come for nine days."


@pytest.fixture
def trace() -> Trace:
    trace = Trace("ann-17", ["chatcmpl-5"])
    trace.learn_value([{"role": "system", "content": "You route tickets of the shop, one label."}])
    trace.learn_value([{"role": "user", "content": WORDS}])
    return trace


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"facts": {"subject": "ann-17"}}, "name"),
        ({"a": [{"metadata": {"subject": "ann-17"}}]}, "name"),
        ({"user": "ann-17"}, "name"),
        ({"item": {"completion_id": "chatcmpl-5"}}, "id"),
        ({"messages": [{"role": "user", "content": f'He said: "{WORDS}"'}]}, "words"),
        ({"messages": [{"role": "user", "content": "My parcel has not come."}]}, None),
        ({"messages": [{"role": "system", "content": "You route tickets of the shop, one label."}]}, None),
        ({"label": "ann-17", "user": "ann-171"}, None),
    ],
)
def test_a_row_is_about_somebody_by_name_by_id_or_by_words(trace, row, reason):
    assert trace.why(row) == reason


def test_what_others_say_as_well_is_nobodys(trace):
    known = trace.fragments
    assert trace.forget(orjson.dumps(["Another text", WORDS])) == known
    assert trace.why({"text": WORDS}) is None


@pytest.mark.parametrize(
    "text", ["Straße der Einheit 5, über dem Bäcker, zweite Tür", "用户的地址是北京市朝阳区建国路八十八号"]
)
@pytest.mark.parametrize("write", [lambda text: orjson.dumps(text), lambda text: json.dumps(text).encode()])
def test_words_in_any_script_are_found_however_json_writes_them(text, write):
    trace = Trace("ann")
    trace.learn(text)
    assert trace.says(b'{"x": ' + write(text) + b"}")


def test_a_template_is_told_from_a_copy_where_rows_name_nobody(trace):
    known = trace.fragments
    copies = [(WORDS.encode(), None), (b"something else altogether, and long enough", None)]
    assert trace.forget_common([(WORDS.encode(), True), *copies]) == 0
    assert trace.forget_common([(WORDS.encode(), True), *[(WORDS.encode(), None)] * 3]) == known


def test_what_named_others_say_is_common(trace):
    known = trace.fragments
    assert trace.forget_common([(WORDS.encode(), True), (WORDS.encode(), False)]) == known


def test_a_file_is_looked_through_across_the_pieces_it_is_read_in(trace):
    filler = os.urandom(2**21 - 20)
    assert trace.in_file(io.BytesIO(filler + WORDS.encode() + b" ann-17 ")) == {"words", "name"}
    assert trace.in_file(io.BytesIO(filler + b" ann-171 ann-17x")) == set()


def test_items_are_followed_to_what_was_made_of_them(trace):
    item = Item(Kind.CHAT, ({"role": "user", "content": "hello"},), facts=Facts(subject="ann-17"))
    trace.learn_item(item)
    child = Item(Kind.TEXT, ({"role": "user", "content": "made up"},), source=Source(parents=(item.id,)))
    assert trace.is_item(item)
    assert trace.is_item(child)
    assert not trace.is_item(Item(Kind.TEXT, ({"role": "user", "content": "made up"},)))


def test_lines_about_the_person_are_left_out_and_counted(trace):
    lines = [b'{"user": "ann-17"}\n', b'{"user": "bob"}\n', b"not json\n", b"ann-17,3\n"]
    told: Counter[str] = Counter()
    assert list(trace.kept_lines(lines, told)) == [b'{"user": "bob"}\n', b"not json\n"]
    assert told == {"name": 2}


def test_json_keeps_its_shape_and_loses_the_words(trace):
    value = {"rows": [{"id": "r1", "user": "ann-17", "n": 3, "text": ["x"]}, {"user": "bob", "text": "y"}], "by": WORDS}
    cleaned = trace.cleaned(value)
    assert cleaned["rows"][0] == {"id": "r1", "user": ERASED, "n": 3, "text": [ERASED]}
    assert cleaned["rows"][1] == {"user": "bob", "text": "y"}
    assert cleaned["by"] == ERASED


def test_a_trace_survives_the_disk(trace, tmp_path):
    trace.save(tmp_path / "work" / "trace.json")
    again = Trace.load(tmp_path / "work" / "trace.json")
    assert again is not None
    assert again.why({"text": WORDS}) == "words"
    assert again.ids == trace.ids
    assert (tmp_path / "work" / "trace.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("subject", "is_unmistakable"),
    [
        ("user-17", True),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", True),
        ("ann@example.org", True),
        ("a@b.org", True),
        ("1042", False),
        ("20240115", False),
        ("alice", False),
        ("customer", False),
        ("u-17", False),
    ],
)
def test_a_name_is_the_subjects_wherever_it_stands_or_only_under_a_key(subject, is_unmistakable):
    trace = Trace(subject)
    said = f"please call {subject} back".encode()
    assert trace.mentions(said)
    assert trace.names(said) is is_unmistakable
    assert trace.names(orjson.dumps({"user": subject}))
    assert trace.names(orjson.dumps({"row": json.dumps({"safety_identifier": subject})}))
    told: Counter[str] = Counter()
    lines = [orjson.dumps({"text": said.decode(), "label": subject}), b'{"user": "bob"}']
    assert len(list(trace.kept_lines(lines, told))) == (1 if is_unmistakable else 2)


def test_a_name_is_no_part_of_a_longer_one():
    trace = Trace("ann@example.org")
    assert not trace.mentions(b"mary.ann@example.org, ann@example.org.uk, bann@example.org")
    assert trace.mentions(b"ask ann@example.org.")
    assert Trace("user-17").names(orjson.dumps("it was\nuser-17"))


def test_json_keeps_words_that_are_called_like_the_person():
    value = {
        "labels": ["alice", "bob"],
        "seed": "alice",
        "asked": {"user": "alice"},
        "only": {"subject": ["alice", "b"]},
    }
    cleaned = Trace("alice").cleaned(value)
    assert (cleaned["labels"], cleaned["seed"]) == (["alice", "bob"], "alice")
    assert (cleaned["asked"], cleaned["only"]) == ({"user": ERASED}, {"subject": [ERASED, "b"]})
    named = {"labels": ["user-17"], "path": "students/user-17/mail", "by": {"user-17": 3}}
    assert Trace("user-17").cleaned(named) == {
        "labels": [ERASED],
        "path": "students/[subject]/mail",
        "by": {"[subject]": 3},
    }
