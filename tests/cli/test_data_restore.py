from __future__ import annotations

import pytest

from stillhouse.cli.main import run
from tests.cli.curating import add, caller, chat, read
from tests.cli.test_data_curate import ROWS
from tests.gateway.serving import served
from tests.generation.scripted import Scripted, last_words


@pytest.fixture
def call(tmp_path, capsys):
    add(tmp_path, "support", ROWS)
    call = caller(tmp_path, capsys)
    assert call("curate", "support")[0] == 0
    return call


def test_rows_come_back_by_their_reason_and_the_others_stay_at_hand(call, tmp_path):
    code, told = call("restore", "support@2", "--reason", "near-duplicate")
    assert code == 0
    assert (told["reference"], told["items"], told["dropped"]) == ("support@3", 4, 3)
    assert told["step"]["counts"] == {"kept": 4, "brought back": 1, "still dropped": 3, "near-duplicate": 1}
    kept, dropped = read(tmp_path, "support@3")
    assert [item.source.row for item in kept] == [1, 3, 4, 7]
    assert sorted(item.source.row for item, _ in dropped) == [2, 5, 6]


def test_all_that_was_dropped_back_is_what_there_was(call, tmp_path):
    before = call("show", "support@1")[1]["hash"]
    assert call("restore", "support@2", "--reason", "all")[1]["hash"] == before
    call("restore", "support@2", "--reason", "refusal")
    assert call("restore", "support", "--reason", "all", "--name", "whole")[1]["hash"] == before


def test_one_row_comes_back_by_its_id(call, tmp_path):
    refused = ROWS[4]
    assert call("restore", "support", "--item", refused.id[:10])[1]["step"]["counts"]["refusal"] == 1
    assert refused in read(tmp_path, "support")[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("support",), "Say what comes back"),
        (("support", "--reason", "near"), "There are: duplicate (1), empty (1), near-duplicate (1), refusal (1)"),
        (("support", "--item", "zzzz"), "dropped no row with this id"),
        (("support@1", "--reason", "all"), "Nothing was dropped from support@1"),
    ],
)
def test_wrong_use_is_told(call, arguments, told):
    code, answer = call("restore", *arguments)
    assert code == 2
    assert told in answer["error"]["message"]


def test_a_version_that_dropped_nothing_names_the_one_before_it_that_did(call):
    assert call("split", "support")[0] == 0
    code, answer = call("restore", "support@3", "--reason", "all")
    assert code == 2
    assert "support@2, of which it was made, has" in answer["error"]["message"]


def test_rows_that_were_changed_before_they_were_dropped_come_back_as_they_were_then(tmp_path, capsys):
    add(tmp_path, "d", [chat("Where is my parcel?", "", 1, label="a"), chat("where is my parcel?", "x", 2, label="b")])
    call = caller(tmp_path, capsys)
    assert call("curate", "d", "--steps", "duplicates,broken")[1]["dropped"] == 1
    assert call("restore", "d", "--reason", "empty")[0] == 0
    assert [item.facts.tags for item in read(tmp_path, "d")[0]] == [("conflicting-label",)] * 2


def test_rows_that_a_teacher_said_nothing_usable_of_come_back_to_their_places(tmp_path, capsys):
    rows = [chat(words, "", row) for row, words in enumerate(["my money", "hm", "a parcel", "what", "more money"], 1)]
    add(tmp_path, "desk", rows)
    scripted = Scripted(lambda call, _: "a" if "money" in last_words(call) else "b" if "parcel" in str(call) else "?")
    with served(scripted.app()) as url:
        who = ("--teacher", url, "--model", "m", "--labels", "a,b", "--retries", "0", "--home", str(tmp_path))
        assert run(["generate", "label", "desk", *who]) == 0
    capsys.readouterr()
    assert caller(tmp_path, capsys)("restore", "desk", "--reason", "all")[0] == 0
    assert [(item.text, item.label) for item in read(tmp_path, "desk")[0]] == [
        ("my money", "a"), ("hm", None), ("a parcel", "b"), ("what", None), ("more money", "a"),
    ]  # fmt: skip
