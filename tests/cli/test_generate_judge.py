"""`stillhouse generate judge`: grades, and preferences confirmed."""

from __future__ import annotations

from dataclasses import replace

from stillhouse.data.items import Kind
from tests.cli.generating import called, contents, pictures_shown, with_dataset, with_picture
from tests.cli.methods import PRICES, chat, teacher

CAT = b"\x89PNG\r\n\x1a\ncat"


def pair(better, worse):
    item = chat("Which?", better)
    return replace(item, kind=Kind.PREFERENCE, rejected={"role": "assistant", "content": worse})


def test_answers_are_graded_after_a_dry_run(capsys, tmp_path):
    with_dataset(tmp_path, "told", [chat("a", "Answer 5."), chat("b", "Answer."), chat("c")])
    with teacher(tmp_path) as (scripted, who):
        verb = ("judge", "told", *who, *PRICES, "--out", "graded")
        code, told, _ = called(capsys, tmp_path, *verb, "--dry-run")
        assert (code, told["calls"], scripted.asked) == (0, 2, [])
        code, told, _ = called(capsys, tmp_path, *verb)
        assert (code, told["items"], told["graded"], told["dropped"]) == (0, 2, 1, 1)
    assert [item.facts.grade for item in contents(tmp_path, "graded@1")[1]] == [5 / 9, None]


def test_preferences_are_confirmed_or_turned(capsys, tmp_path):
    pairs = [pair("Answer 5.", "Answer 2."), pair("Answer 1.", "Answer 6."), pair("Answer 3.", "Answer 3!")]
    with_dataset(tmp_path, "pairs", [*pairs, chat("x", "Answer 1.")])
    with teacher(tmp_path) as (scripted, who):
        code, told, _ = called(capsys, tmp_path, "judge", "pairs", *who, "--compare", "--out", "sure")
        assert (code, told["items"], told["dropped"], len(scripted.asked)) == (0, 2, 2, 6)
    _, items, dropped = contents(tmp_path, "sure@1")
    assert [item.words for item in items] == ["Answer 5.", "Answer 6."]
    assert [item.facts.metadata["turned"] for item in items] == ["no", "yes"]
    assert {reason for _, reason in dropped} == {
        "no preference: the judge finds them equal",
        "nothing to judge: it is no preference",
    }


def test_a_judge_sees_the_pictures_that_answers_are_about(capsys, tmp_path):
    cat, page = with_picture(tmp_path, CAT), with_picture(tmp_path, b"<html>")
    about = {"kind": Kind.PREFERENCE, "media": (cat,)}
    rows = [replace(pair("Answer 5.", "Answer 2."), **about), replace(pair("Answer 5.", "Answer 3."), media=(page,))]
    with_dataset(tmp_path, "seen", rows)
    with teacher(tmp_path) as (scripted, who):
        for more in ((), ("--compare",)):
            code, told, _ = called(capsys, tmp_path, "judge", "seen", *who, *more, "--out", "sure")
            assert (code, told["items"], told["dropped"]) == (0, 1, 1)
    assert [pictures_shown(call) for call in scripted.asked] == [[CAT]] * 3
    assert contents(tmp_path, "sure@2")[2][0][1].startswith("no picture: a.png is none")
